"""The split, its sizes, and the loaders, with and without a Trainer."""

import itertools
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from torch import Tensor

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.data.augmentation import Augmentation
from fmnist.data.datamodule import FashionMNISTDataModule, stratified_split
from tests.models.fitting import mlp, trainer

BALANCED = np.random.default_rng(0).permutation(np.arange(6000) % 10)


Make = Callable[..., FashionMNISTDataModule]


@pytest.fixture(scope="module")
def make(synthetic_root: Path) -> Make:
    """Return a maker of data modules of the drawn set: 600 training and 200 test images."""

    def build(**arguments: Any) -> FashionMNISTDataModule:
        return FashionMNISTDataModule(str(synthetic_root), **{"val_size": 100, "batch_size": 50, **arguments})

    return build


def attach(data: FashionMNISTDataModule, device: str = "cpu", rank: int = 0, world_size: int = 1) -> None:
    """Give a data module what it reads of a Trainer."""
    strategy = SimpleNamespace(root_device=torch.device(device))
    data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, strategy=strategy)  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("val_size", "train_size"), [(0, None), (10, None), (503, None), (500, 100), (500, 5432)]
)
def test_both_parts_are_stratified_to_within_one_image_a_class(val_size: int, train_size: int | None) -> None:
    train, val = stratified_split(BALANCED, val_size, train_size, split_seed=0)
    assert (len(val), len(train)) == (val_size, train_size or 6000 - val_size)
    assert not set(train) & set(val)
    for part in (train, val):
        assert np.ptp(np.bincount(BALANCED[part], minlength=10)) <= 1
        assert np.all(np.diff(part) > 0)


@pytest.mark.parametrize("val_size", [1000, 700, 12])
def test_folds_are_stratified_apart_and_hold_every_image(val_size: int) -> None:
    folds = [stratified_split(BALANCED, val_size, None, 3, fold) for fold in range(6000 // val_size)]
    validated = np.concatenate([val for _, val in folds])
    assert len(set(validated)) == len(validated) == 6000 // val_size * val_size
    for train, val in folds:
        np.testing.assert_array_equal(np.sort([*train, *val]), np.arange(6000))
        assert np.ptp(np.bincount(BALANCED[val], minlength=10)) <= 1


@pytest.mark.parametrize("fold", [0, 4, 7])  # training of the last one goes on at the beginning of the order
def test_training_beside_a_fold_is_nested_and_stratified(fold: int) -> None:
    sizes = (55, 403, 3210, None)
    parts = [stratified_split(BALANCED, 703, size, 0, fold) for size in sizes]
    for (train, val), (more, same) in itertools.pairwise(parts):
        assert set(train) < set(more)
        np.testing.assert_array_equal(val, same)
    for train, val in parts:
        assert not set(train) & set(val)
        assert np.ptp(np.bincount(BALANCED[train], minlength=10)) <= 1


@pytest.mark.parametrize(
    ("val_size", "fold", "allowed"),
    [
        (500, 12, "lie between 0 and 11"),
        (700, 8, "lie between 0 and 7"),  # 400 images are left, which are no fold
        (500, -1, "lie between 0 and 11"),
        (0, 1, "be 0"),
        (3001, 1, "be 0"),
    ],
)
def test_folds_that_do_not_exist_are_refused(val_size: int, fold: int, allowed: str) -> None:
    message = rf"^--data\.fold {fold}: must {allowed}, with --data\.val_size {val_size} of 6,000 images$"
    with pytest.raises(InputError, match=message):
        stratified_split(BALANCED, val_size, None, 0, fold)


def test_the_module_validates_on_its_fold(make: Make) -> None:
    folds = [make(fold=fold) for fold in range(6)]
    assert torch.equal(torch.cat([data.val_indices for data in folds]).sort().values, torch.arange(600))
    assert folds[2].split == {"split_seed": 0, "fold": 2, "train": 500, "val": 100, "test": 200}
    assert "fold=2" in str(folds[2])


@pytest.mark.real_data
def test_fold_0_is_the_split_that_the_shipped_networks_were_trained_with(real_data: Path) -> None:
    data = FashionMNISTDataModule(str(real_data), fold=0)
    np.testing.assert_array_equal(data.val_indices, Run.find("lenet5").predictions("val").indices)


@pytest.mark.parametrize(
    ("sizes", "flag"),
    [
        ({"val_size": -1}, "val_size -1"),
        ({"val_size": 6000}, "val_size 6000"),
        ({"val_size": 500, "train_size": 5501}, "train_size 5501"),
        ({"val_size": 500, "train_size": 0}, "train_size 0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes: dict[str, int], flag: str) -> None:
    with pytest.raises(InputError, match=rf"^--data\.{flag}: must lie between"):
        stratified_split(BALANCED, **{"train_size": None, "split_seed": 0, **sizes})


def test_the_seed_changes_order_and_augmentation_but_not_the_split(make: Make) -> None:
    shift = Augmentation(shift=2)
    first, second = make(seed=0, augmentation=shift), make(seed=1, augmentation=shift)
    assert torch.equal(first.val_indices, second.val_indices)
    assert torch.equal(first.train_indices, second.train_indices)
    (images, _, indices), (others, _, order) = (
        next(iter(data.train_dataloader())) for data in (first, second)
    )
    assert not torch.equal(indices, order)
    assert not torch.equal(images.sort(0).values, others.sort(0).values)
    assert not torch.equal(first.val_indices, make(split_seed=1).val_indices)


def test_loaders_hold_their_part_and_nothing_else(make: Make) -> None:
    data = make(eval_batch_size=64, augmentation=Augmentation(cutmix=1.0))
    assert torch.equal(data.train_dataloader().augmenter.partners, data.train_indices)
    trained = torch.cat([indices for _, _, indices in data.train_dataloader()])
    assert torch.equal(trained.sort().values, data.train_indices)
    validated = torch.cat([indices for _, _, indices in data.val_dataloader()])
    assert torch.equal(validated, data.val_indices)
    for loader in (data.test_dataloader(), data.predict_dataloader()):
        images, labels, tested = (torch.cat(parts) for parts in zip(*loader, strict=True))
        assert torch.equal(tested, torch.arange(200))
        assert torch.equal(images[:, 0], data.data.test_images / 255)
        assert torch.equal(labels, data.data.test_labels)
    assert data.split == {"split_seed": 0, "fold": 0, "train": 500, "val": 100, "test": 200}


def test_without_validation_lightning_gets_no_loader(make: Make) -> None:
    data = make(val_size=0)
    assert data.val_dataloader() == []
    assert len(data.train_indices) == 600


class Recorder(Callback):
    """Keeps the indices and the sum of the pixels of each training batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[int], float]] = []

    def on_train_batch_start(self, trainer: Any, model: Any, batch: Any, step: int) -> None:
        self.batches.append((batch[2].tolist(), float(batch[0].sum())))


def test_it_serves_trainers_of_the_users_own(make: Make) -> None:
    data = make(augmentation=Augmentation(shift=1, flip=True))
    expected = []
    loader = make(augmentation=Augmentation(shift=1, flip=True)).train_dataloader()
    for epoch in range(2):
        loader.sampler.set_epoch(epoch)
        expected += [(indices.tolist(), float(images.sum())) for images, _, indices in loader]
    for _ in range(2):  # a second training in the same process sees the same
        model, recorder = mlp(), Recorder()
        runner = trainer(recorder, max_epochs=2)
        runner.fit(model, data)
        assert recorder.batches == expected
    assert torch.equal(model.predictions["val"][2], data.val_indices)
    runner.test(model, data, verbose=False)
    assert torch.equal(model.predictions["test"][2], torch.arange(200))
    logits = torch.cat(runner.predict(model, data))
    torch.testing.assert_close(logits, model(data.data.test_images[:, None] / 255))


def test_a_batch_is_divided_over_the_processes_and_each_gets_an_image(make: Make) -> None:
    data = make(batch_size=50)
    attach(data, rank=1, world_size=2)
    assert {len(indices) for _, _, indices in data.train_dataloader()} == {25}
    assert sum(len(indices) for _, _, indices in data.val_dataloader()) == 50
    attach(data, world_size=4)
    with pytest.raises(InputError, match=r"^--data\.batch_size 50: .* must be a multiple of 4$"):
        data.train_dataloader()
    data = make(train_size=3, batch_size=4)
    attach(data, world_size=4)
    with pytest.raises(InputError, match=r"^--data\.train_size 3: must be at least 4, an image a process$"):
        data.train_dataloader()


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        ({"shift": 2, "flip": True, "rotate": 10.0, "scale": 0.1, "erase": 0.5, "cutmix": 1.0}, 1e-4),
        ({"shear": 0.2, "p_affine": 0.8, "shrink": 0.5, "p_clean": 0.2, "background": 0.5}, 1e-3),
        ({"contrast": 0.5, "invert": 0.5, "blur": 0.5, "noise": 0.5}, 1e-3),
    ],
)
def test_batches_made_on_a_gpu_equal_those_of_the_processor(
    make: Make, settings: dict[str, Any], tolerance: float
) -> None:
    data = make(augmentation=Augmentation(**settings))
    expected = list(data.train_dataloader())
    attach(data, "cuda")
    for on_cpu, on_gpu in zip(expected, data.train_dataloader(), strict=True):
        for value, other in zip(on_cpu, on_gpu, strict=True):
            assert other.is_cuda
            torch.testing.assert_close(other.cpu(), value, rtol=tolerance, atol=tolerance)


def test_it_can_be_printed_and_copied(make: Make) -> None:
    data = make(val_size=0, seed=7, augmentation=Augmentation(shift=1))
    assert "seed=7" in str(data)
    assert "shift=1" in str(data)
    copied = pickle.loads(pickle.dumps(data))
    assert copied.split == data.split
    for batch, expected in zip(copied.train_dataloader(), data.train_dataloader(), strict=True):
        assert all(map(torch.equal, batch, expected))


def test_what_does_not_fit_on_the_device_stays_in_memory(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError

    fits, data = make(), make()
    for module in (fits, data):
        attach(module, "meta")
        module.setup()
    assert fits.test_dataloader().images.is_meta
    monkeypatch.setattr(Tensor, "to", full)
    assert not data._tensors("test")[0].is_meta  # the loader itself calls Tensor.to


@pytest.mark.parametrize(
    ("flag", "value"),
    [("batch_size", 0), ("eval_batch_size", -5), ("split_seed", -1), ("fold", -1), ("seed", -1)],
)
def test_values_out_of_range_name_the_flag(flag: str, value: int) -> None:
    with pytest.raises(InputError, match=rf"^--data\.{flag} {value}: must"):
        FashionMNISTDataModule(**{flag: value})


@pytest.mark.real_data
def test_batches_of_the_published_set_are_its_bytes(real_data: Path) -> None:
    data = FashionMNISTDataModule(str(real_data))
    assert data.split == {
        "split_seed": 0, "fold": 0, "train": 55_000, "val": 5_000, "test": 10_000,
    }  # fmt: skip
    assert torch.equal(data.data.train_labels[data.val_indices].bincount(), torch.full((10,), 500))
    files, _ = source.verified(real_data)
    pixels = np.frombuffer(files["train-images-idx3-ubyte"], np.uint8, offset=16).reshape(60_000, 28, 28)
    classes = np.frombuffer(files["train-labels-idx1-ubyte"], np.uint8, offset=8)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        images, labels, indices = (values.numpy() for values in next(iter(loader)))
        np.testing.assert_array_equal(images[:, 0], pixels[indices] / np.float32(255))
        np.testing.assert_array_equal(labels, classes[indices])
