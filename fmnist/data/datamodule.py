"""Fashion-MNIST as a LightningDataModule: the split, and loaders of the set in memory, on the device."""

import contextlib
import math
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.nn import functional as F

from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.data import source
from fmnist.data.augmentation import Augmentation
from fmnist.data.augmenter import Augmenter
from fmnist.data.loaders import EvalLoader, TrainLoader, set_images
from fmnist.data.photograph_set import FLAG, PhotographSet, load_photographs

PHOTOGRAPH_SHARE, PHOTOGRAPH_VAL = 0.4, 0.1


def stratified_split(
    labels: np.ndarray, val_size: int, train_size: int | None, split_seed: int, fold: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Split a set so that training and validation hold every class in proportion.

    The images are put in one random order. Any stretch of it holds every class in proportion (to within one
    image a class), also one that goes on at the beginning. The order is cut into folds of ``val_size``
    images. Validation is one of them, and training follows it. So a smaller training set is a part of a
    larger one, and never contains validation images.

    Args:
        labels: int64 (N,).
        val_size: Number of validation images, 0 allowed.
        train_size: Number of training images, ``None`` for all that remain.
        split_seed: Chooses the order.
        fold: Which stretch of ``val_size`` images is for validation, counted from 0.

    Returns:
        The sorted indices of training and validation, int64.

    Raises:
        InputError: The sizes do not fit the set, or there is no such fold.
    """
    total = len(labels)
    if not 0 <= val_size < total:
        raise InputError(
            f"--data.val_size {val_size}: must lie between 0 and {total - 1:,} (of {total:,} images)"
        )
    rest = total - val_size
    if train_size is not None and not 1 <= train_size <= rest:
        raise InputError(f"--data.train_size {train_size}: must lie between 1 and {rest:,}, or null for all")
    folds = total // val_size if val_size else 1
    if not 0 <= fold < folds:
        allowed = f"lie between 0 and {folds - 1}" if folds > 1 else "be 0"
        raise InputError(
            f"--data.fold {fold}: must {allowed}, with --data.val_size {val_size} of {total:,} images"
        )
    generator = np.random.default_rng(split_seed)
    order = generator.permutation(total)
    position = np.empty(total)  # of each image in that order, in [0, 1)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        position[members] = (np.arange(len(members)) + generator.random()) / len(members)
    order = np.roll(np.argsort(position, kind="stable"), -fold * val_size)
    end = total if train_size is None else val_size + train_size
    return np.sort(order[val_size:end]), np.sort(order[:val_size])


class FashionMNISTDataModule(LightningDataModule):
    """Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747) with a stratified validation split.

    Batches are tuples of images, labels and indices into the source file. The files are read at the first
    use, by ``setup`` or without it.

    Args:
        root: Folder of the four idx files, gzip or raw; without them there, ``$FMNIST_DATA`` and
            Debian's folder are tried, then they are downloaded into ``root``.
        batch_size: Training batch of all processes together; its size does not change with their number.
        eval_batch_size: Batch of all processes together in validation, test and prediction.
        val_size: Validation images taken from the 60,000; 0 trains on all of them.
        train_size: Training images, a stratified part of the rest; null takes all.
        split_seed: Seed of the split, apart from ``seed``, so that all models get the same one.
        fold: Which fold of ``val_size`` images is for validation, counted from 0; folds share no image.
        seed: Seed of order and augmentation; ``scripts/train.py`` sets it to ``--seed_everything``.
        augmentation: Switches and strengths of the augmentation; null is none.
        photographs: Folder of labelled photographs for training, a subfolder for each class.
        photograph_classes: YAML file that maps these subfolders to classes; null takes their names.
        photograph_share: Share of each training batch that are photographs.
        photograph_val: Share of them kept for validation (``val/photographs``).

    Raises:
        InputError: A value lies outside its range.
    """

    def __init__(
        self,
        root: str = "data",
        batch_size: int = 500,
        eval_batch_size: int = 250,
        val_size: int = 5000,
        train_size: int | None = None,
        split_seed: int = 0,
        fold: int = 0,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        photographs: str | None = None,
        photograph_classes: str | None = None,
        photograph_share: float = PHOTOGRAPH_SHARE,
        photograph_val: float = PHOTOGRAPH_VAL,
    ) -> None:
        super().__init__()
        for flag, value in {"batch_size": batch_size, "eval_batch_size": eval_batch_size}.items():
            if value < 1:
                raise InputError(f"--data.{flag} {value}: must be at least 1")
        for flag, value in {"split_seed": split_seed, "fold": fold, "seed": seed}.items():
            if value < 0:
                raise InputError(f"--data.{flag} {value}: must be 0 or more")
        if not 0 < photograph_share < 1:
            raise InputError(f"--data.photograph_share {photograph_share}: must be above 0 and below 1")
        if not 0 <= photograph_val < 1:
            raise InputError(f"--data.photograph_val {photograph_val}: must be at least 0 and below 1")
        if photographs is None:
            given = {"classes": photograph_classes, "share": photograph_share, "val": photograph_val}
            defaults = {"classes": None, "share": PHOTOGRAPH_SHARE, "val": PHOTOGRAPH_VAL}
            for name in given:
                if given[name] != defaults[name]:
                    raise InputError(f"--data.photograph_{name} {given[name]}: needs {FLAG} FOLDER")
        self.photograph_folder, self.photograph_classes = photographs, photograph_classes
        self.photograph_share, self.photograph_val = photograph_share, photograph_val
        self.photographs_per_batch = round(photograph_share * batch_size) if photographs else 0
        if photographs and not 0 < self.photographs_per_batch < batch_size:
            raise InputError(
                f"--data.batch_size {batch_size}: must leave room for photographs and other images; a "
                f"--data.photograph_share of {photograph_share} makes {self.photographs_per_batch} of them "
                "photographs"
            )
        self.root = Path(root)
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.val_size, self.train_size, self.split_seed, self.fold = val_size, train_size, split_seed, fold
        self.seed = seed
        self.augmentation = augmentation or Augmentation()
        self._on_device: dict[tuple[str, torch.device], tuple[Tensor, Tensor]] = {}

    def prepare_data(self) -> None:
        """Download the files if they are not on this machine; prepare the photographs, if any."""
        source.fetch(self.root)
        _ = self.photographs

    def setup(self, stage: str | None = None) -> None:
        """Read, verify and split the data, once.

        Raises:
            InputError: The files are missing or altered, or the sizes do not fit them.
        """
        _ = self._indices, self.photographs

    @cached_property
    def data(self) -> source.FashionMNIST:
        """The whole set as it is in the files."""
        return source.load(self.root)

    @cached_property
    def _indices(self) -> tuple[Tensor, Tensor]:
        labels = self.data.train_labels.numpy()
        train, val = stratified_split(labels, self.val_size, self.train_size, self.split_seed, self.fold)
        return torch.from_numpy(train), torch.from_numpy(val)

    @property
    def train_indices(self) -> Tensor:
        """int64 (n,), ascending: the training images among the 60,000."""
        return self._indices[0]

    @property
    def val_indices(self) -> Tensor:
        """int64 (n,), ascending: the validation images among the 60,000."""
        return self._indices[1]

    @property
    def test_indices(self) -> Tensor:
        """int64 (n,), ascending: all test images."""
        return torch.arange(len(self.data.test_labels))

    @cached_property
    def photographs(self) -> PhotographSet | None:
        """The photographs that are added to the training images."""
        if self.photograph_folder is None:
            return None
        return load_photographs(self.photograph_folder, self.photograph_classes, self.root)

    @cached_property
    def photograph_indices(self) -> tuple[np.ndarray, np.ndarray]:
        """int64 (n,), ascending: the training and the validation photographs among the prepared ones."""
        if self.photographs is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        _, subfolder = np.unique(self.photographs.subfolders, return_inverse=True)
        val_size = min(round(self.photograph_val * len(subfolder)), len(subfolder) - 1)
        return stratified_split(subfolder, val_size, None, self.split_seed)

    @cached_property
    def photograph_record(self) -> dict[str, Any] | None:
        """The photographs in numbers and digests, for a run's record; None without photographs."""
        if self.photographs is None:
            return None
        per_batch = {"share": self.photograph_share, "per_batch": self.photographs_per_batch}
        return self.photographs.record(*self.photograph_indices) | per_batch

    @property
    def split(self) -> dict[str, Any]:
        """The split in numbers, for a run's record."""
        train, val = self._indices
        return {
            "split_seed": self.split_seed,
            "fold": self.fold,
            "train": len(train),
            "val": len(val),
            "test": len(self.data.test_labels),
        }

    def check_processes(self, world_size: int) -> None:
        """Refuse a batch that cannot be divided evenly over ``world_size`` processes, with images for each.

        Raises:
            InputError: It cannot.
        """
        if self.batch_size % world_size:
            raise InputError(
                f"--data.batch_size {self.batch_size}: is the batch of all {world_size} processes together "
                f"and must be a multiple of {world_size}"
            )
        if (images := self.batch_size - self.photographs_per_batch) < world_size:
            raise InputError(
                f"--data.photograph_share {self.photograph_share}: leaves {images} other images of "
                f"--data.batch_size {self.batch_size}, and each of the {world_size} processes needs one"
            )

    def train_dataloader(self) -> TrainLoader:
        rank, world_size = self._process()
        self.check_processes(world_size)
        size, per_batch, copies = len(self.train_indices), self.photographs_per_batch, 1
        if (images_per_batch := set_images(size, self.batch_size, per_batch, world_size)) < world_size:
            raise InputError(f"--data.train_size {size}: must be at least {world_size}, an image a process")
        images, labels = self._tensors("train")
        added = self.photograph_indices[0]
        if self.photographs is not None:
            photographs, answers = (
                torch.from_numpy(values[added]).to(images.device)
                for values in (self.photographs.images, self.photographs.targets)
            )
            images = torch.cat([images, photographs])
            labels = torch.cat([F.one_hot(labels, len(CLASSES)).to(answers.dtype), answers])
            copies = math.ceil(size // images_per_batch * per_batch / len(added))  # shown in an epoch
        augmenter = Augmenter(
            images, labels, self.augmentation, self.train_indices, self.seed, len(added), copies
        )
        return TrainLoader(
            augmenter, self.train_indices, self.batch_size, self.seed, rank, world_size, per_batch
        )

    def val_dataloader(self) -> EvalLoader | list[EvalLoader]:
        """Return the loader of the validation images, that of known garments' photographs, or both."""
        size, process = self.eval_batch_size, self._process()
        loaders = [EvalLoader(*self._tensors("train"), self.val_indices, size, *process)]
        if self.photographs is not None:
            val = self.photograph_indices[1]
            chosen = torch.from_numpy(val[self.photographs.known[val]])
            images, answers = map(torch.from_numpy, (self.photographs.images, self.photographs.targets))
            loaders.append(EvalLoader(images, answers, chosen, size, *process))
        loaders = [loader for loader in loaders if len(loader)]
        return loaders[0] if len(loaders) == 1 else loaders  # Lightning skips validation where there is none

    def test_dataloader(self) -> EvalLoader:
        return EvalLoader(*self._tensors("test"), self.test_indices, self.eval_batch_size, *self._process())

    def predict_dataloader(self) -> EvalLoader:
        """Return the test images, in order."""
        return self.test_dataloader()

    def __str__(self) -> str:
        # Lightning's own raises, as the loaders are no instances of DataLoader
        names = ("batch_size", "val_size", "train_size", "split_seed", "fold", "seed", "augmentation")
        settings = ", ".join(f"{name}={getattr(self, name)}" for name in names)
        if self.photograph_folder is not None:
            settings += f", photographs={self.photograph_folder!r}"
        return f"{type(self).__name__}({str(self.root)!r}, {settings})"

    def _process(self) -> tuple[int, int]:
        """Return this process's rank and the number of processes."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _tensors(self, part: str) -> tuple[Tensor, Tensor]:
        """Return images and labels of ``"train"`` or ``"test"``, on the device if they fit there."""
        device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        if (part, device) not in self._on_device:
            images, labels = getattr(self.data, f"{part}_images"), getattr(self.data, f"{part}_labels")
            with contextlib.suppress(torch.OutOfMemoryError):
                images, labels = images.to(device), labels.to(device)
            self._on_device[part, device] = images, labels
        return self._on_device[part, device]
