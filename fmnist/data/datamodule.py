"""Fashion-MNIST as a LightningDataModule: the whole set in memory, on the device where it fits."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from fmnist.core.errors import InputError
from fmnist.data import source
from fmnist.data.augmentation import Augmentation
from fmnist.data.augmenter import Augmenter
from fmnist.data.loaders import EvalLoader, TrainLoader


def stratified_split(
    labels: np.ndarray, val_size: int, train_size: int | None, split_seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split a set so that training and validation hold every class in proportion.

    The images are put in one random order of which every prefix is stratified (to within one image a
    class); validation is its beginning and training follows, so a smaller ``train_size`` is a part
    of a larger one and never touches validation.

    Args:
        labels: int64 (N,).
        val_size: Number of validation images, 0 allowed.
        train_size: Number of training images, ``None`` for all that remain.
        split_seed: Chooses the order.

    Returns:
        The sorted indices of training and validation, int64.

    Raises:
        InputError: The sizes do not fit the set.
    """
    total = len(labels)
    if not 0 <= val_size < total:
        raise InputError(
            f"--data.val_size {val_size}: must lie between 0 and {total - 1:,} (of {total:,} images)"
        )
    rest = total - val_size
    if train_size is not None and not 1 <= train_size <= rest:
        raise InputError(f"--data.train_size {train_size}: must lie between 1 and {rest:,}, or null for all")
    generator = np.random.default_rng(split_seed)
    order = generator.permutation(total)
    place = np.empty(total)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        place[members] = (np.arange(len(members)) + generator.random()) / len(members)
    order = np.argsort(place, kind="stable")
    end = total if train_size is None else val_size + train_size
    return np.sort(order[val_size:end]), np.sort(order[:val_size])


class FashionMNISTDataModule(LightningDataModule):
    """Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747) with a stratified validation split.

    Args:
        root: Folder of the four idx files, gzip or raw; without them there, ``$FMNIST_DATA`` and
            Debian's folder are tried, then they are downloaded into ``root``.
        batch_size: Global training batch, divided over the processes (its size does not change with
            their number).
        eval_batch_size: Global batch of validation and test.
        val_size: Validation images taken from the 60,000; 0 trains on all of them.
        train_size: Training images, a stratified part of the rest; null takes all.
        split_seed: Chooses the split, apart from ``seed``, so that all models see the same one.
        seed: Of order and augmentation; ``scripts/train.py`` sets it to ``--seed_everything``.
        augmentation: Switches and strengths; null is none.

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
        seed: int = 0,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        for flag, value in {"batch_size": batch_size, "eval_batch_size": eval_batch_size}.items():
            if value < 1:
                raise InputError(f"--data.{flag} {value}: must be at least 1")
        for flag, value in {"split_seed": split_seed, "seed": seed}.items():
            if value < 0:
                raise InputError(f"--data.{flag} {value}: must be 0 or more")
        self.root = Path(root)
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.val_size, self.train_size, self.split_seed, self.seed = val_size, train_size, split_seed, seed
        self.augmentation = augmentation or Augmentation()
        self._set: source.FashionMNIST | None = None
        self._on_device: dict[str, tuple[Tensor, Tensor]] = {}

    def prepare_data(self) -> None:
        """Download the data where they are not found."""
        source.fetch(self.root)

    def setup(self, stage: str | None = None) -> None:
        """Load, verify and split the data, once.

        Raises:
            InputError: The files are missing or altered, or the sizes do not fit them.
        """
        if self._set is not None:
            return
        self._set = source.load(self.root)
        train, val = stratified_split(
            self._set.train_labels.numpy(), self.val_size, self.train_size, self.split_seed
        )
        self.train_indices, self.val_indices = torch.from_numpy(train), torch.from_numpy(val)
        self.test_indices = torch.arange(len(self._set.test_labels))

    def check_processes(self, world_size: int) -> None:
        """Refuse a batch that does not divide over ``world_size`` processes.

        Raises:
            InputError: It does not.
        """
        if self.batch_size % world_size:
            raise InputError(
                f"--data.batch_size {self.batch_size}: is the batch of all {world_size} processes together "
                f"and must be a multiple of {world_size}"
            )

    @property
    def data(self) -> source.FashionMNIST:
        """The whole set as it is in the files, after ``setup``."""
        if self._set is None:
            self.setup()
        assert self._set is not None
        return self._set

    @property
    def split(self) -> dict[str, Any]:
        """The split in numbers, for a run's record."""
        sizes = {
            "train": len(self.train_indices),
            "val": len(self.val_indices),
            "test": len(self.test_indices),
        }
        return {"split_seed": self.split_seed, **sizes}

    def train_dataloader(self) -> TrainLoader:
        rank, world_size = self._process()
        self.check_processes(world_size)
        if len(self.train_indices) < world_size:
            size = len(self.train_indices)
            raise InputError(f"--data.train_size {size}: must be at least {world_size}, an image a process")
        images, labels = self._tensors("train")
        augmenter = Augmenter(images, labels, self.augmentation, self.train_indices, self.seed)
        return TrainLoader(augmenter, self.train_indices, self.batch_size, self.seed, rank, world_size)

    def val_dataloader(self) -> EvalLoader | list[EvalLoader]:
        if not len(self.val_indices):
            return []  # Lightning skips validation
        return EvalLoader(*self._tensors("train"), self.val_indices, self.eval_batch_size, *self._process())

    def test_dataloader(self) -> EvalLoader:
        return EvalLoader(*self._tensors("test"), self.test_indices, self.eval_batch_size, *self._process())

    def _process(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _tensors(self, part: str) -> tuple[Tensor, Tensor]:
        """Return images and labels of ``"train"`` or ``"test"``, on the device if they fit there."""
        if part not in self._on_device:
            device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
            images, labels = getattr(self.data, f"{part}_images"), getattr(self.data, f"{part}_labels")
            try:
                self._on_device[part] = images.to(device), labels.to(device)
            except torch.OutOfMemoryError:
                self._on_device[part] = images, labels
        return self._on_device[part]
