"""The split, the sizes, and the loaders that Lightning asks for."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from fmnist.core.errors import InputError
from fmnist.data import source
from fmnist.data.augmentation import Augmentation
from fmnist.data.datamodule import FashionMNISTDataModule, stratified_split

BALANCED = np.random.default_rng(0).permutation(np.arange(6000) % 10)


@pytest.fixture(scope="module")
def make(synthetic_root: Path) -> Callable[..., FashionMNISTDataModule]:
    """Set up a data module on the drawn set, 600 training and 200 test images."""

    def build(**arguments: Any) -> FashionMNISTDataModule:
        data = FashionMNISTDataModule(str(synthetic_root), **{"val_size": 100, "batch_size": 50, **arguments})
        data.setup()
        return data

    return build


@pytest.mark.parametrize("val_size", [0, 10, 500, 503])
def test_validation_is_stratified_to_within_one_image_a_class(val_size: int) -> None:
    train, val = stratified_split(BALANCED, val_size, None, split_seed=0)
    assert len(val) == val_size
    assert np.ptp(np.bincount(BALANCED[val], minlength=10)) <= 1
    assert np.ptp(np.bincount(BALANCED[train], minlength=10)) <= 1
    np.testing.assert_array_equal(np.sort(np.concatenate([train, val])), np.arange(6000))


@pytest.mark.parametrize("train_size", [100, 1000, 5432])
def test_a_small_training_set_is_stratified(train_size: int) -> None:
    train, _ = stratified_split(BALANCED, 500, train_size, split_seed=0)
    assert len(train) == train_size
    assert np.ptp(np.bincount(BALANCED[train], minlength=10)) <= 1


def test_classes_of_unequal_size_keep_their_shares() -> None:
    labels = np.repeat([0, 1, 2], [1000, 300, 50])
    _, val = stratified_split(labels, 270, None, split_seed=3)
    np.testing.assert_allclose(np.bincount(labels[val]), [200, 60, 10], atol=2)


def test_training_sets_are_nested_and_never_touch_validation() -> None:
    (small, val), (large, same) = (stratified_split(BALANCED, 500, size, split_seed=0) for size in (50, 700))
    assert set(small) < set(large)
    assert not set(large) & set(val)
    np.testing.assert_array_equal(val, same)


def test_split_is_sorted_and_depends_on_split_seed_alone() -> None:
    train, val = stratified_split(BALANCED, 500, None, split_seed=0)
    assert np.all(np.diff(train) > 0)
    assert np.all(np.diff(val) > 0)
    other = stratified_split(BALANCED, 500, None, split_seed=1)[1]
    assert len(set(val) & set(other)) < 150
    np.testing.assert_array_equal(val, stratified_split(BALANCED, 500, None, split_seed=0)[1])


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


def test_the_seed_moves_order_and_augmentation_but_not_the_split(
    make: Callable[..., FashionMNISTDataModule],
) -> None:
    first, second = make(seed=0, shift=2), make(seed=1, shift=2)
    assert torch.equal(first.val_indices, second.val_indices)
    assert torch.equal(first.train_indices, second.train_indices)
    (images, _, indices), (others, _, order) = (
        next(iter(data.train_dataloader())) for data in (first, second)
    )
    assert not torch.equal(indices, order)
    assert not torch.equal(images.sort(0).values, others.sort(0).values)
    assert not torch.equal(first.val_indices, make(split_seed=1).val_indices)


def test_loaders_hold_their_part_and_nothing_else(make: Callable[..., FashionMNISTDataModule]) -> None:
    data = make(eval_batch_size=64)
    trained = torch.cat([indices for _, _, indices in data.train_dataloader()])
    assert torch.equal(trained.sort().values, data.train_indices)
    validated = torch.cat([indices for _, _, indices in data.val_dataloader()])
    assert torch.equal(validated, data.val_indices)
    images, labels, tested = (torch.cat(parts) for parts in zip(*data.test_dataloader(), strict=True))
    assert torch.equal(tested, torch.arange(200))
    assert torch.equal(images[:, 0], data.data.test_images / 255)
    assert torch.equal(labels, data.data.test_labels)
    assert data.split == {"split_seed": 0, "train": 500, "val": 100, "test": 200}


def test_every_augmentation_is_a_flag_and_reaches_the_augmenter() -> None:
    assert FashionMNISTDataModule().augmentation == Augmentation()
    for field in fields(Augmentation):
        value = {"shift": 3, "flip": True}.get(field.name, 0.123)
        assert FashionMNISTDataModule(**{field.name: value}).augmentation == Augmentation(
            **{field.name: value}
        )


def test_mixing_takes_partners_from_the_training_set_alone(
    make: Callable[..., FashionMNISTDataModule],
) -> None:
    data = make(cutmix=1.0)
    assert torch.equal(data.train_dataloader().augmenter.partners, data.train_indices)


def test_without_validation_lightning_gets_no_loader(make: Callable[..., FashionMNISTDataModule]) -> None:
    data = make(val_size=0)
    assert data.val_dataloader() == []
    assert len(data.train_indices) == 600


def test_a_batch_is_divided_over_the_processes(make: Callable[..., FashionMNISTDataModule]) -> None:
    data = make(batch_size=50)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(global_rank=1, world_size=2, strategy=strategy)
    assert {len(indices) for _, _, indices in data.train_dataloader()} == {25}
    assert sum(len(indices) for _, _, indices in data.val_dataloader()) == 50
    data.trainer.world_size = 4
    with pytest.raises(InputError, match=r"^--data\.batch_size 50: .* must be a multiple of 4$"):
        data.train_dataloader()


def test_every_process_needs_an_image(make: Callable[..., FashionMNISTDataModule]) -> None:
    data = make(train_size=3, batch_size=4)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(global_rank=0, world_size=4, strategy=strategy)
    with pytest.raises(InputError, match=r"^--data\.train_size 3: must be at least 4, an image a process$"):
        data.train_dataloader()


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("switches", "tolerance"),
    [
        ({"shift": 2, "flip": True, "rotate": 10.0, "scale": 0.1, "erase": 0.5, "cutmix": 1.0}, 1e-4),
        ({"shear": 0.2, "warp": 0.8, "shrink": 0.5, "spare": 0.2, "background": 0.5}, 1e-3),
        ({"contrast": 0.5, "invert": 0.5, "blur": 0.5, "noise": 0.5}, 1e-3),
    ],
)
def test_batches_cut_on_a_gpu_equal_those_of_the_processor(
    make: Callable[..., FashionMNISTDataModule], switches: dict[str, Any], tolerance: float
) -> None:
    expected, data = make(**switches), make(**switches)
    strategy = SimpleNamespace(root_device=torch.device("cuda"))
    data.trainer = SimpleNamespace(global_rank=0, world_size=1, strategy=strategy)
    for cpu, gpu in zip(expected.train_dataloader(), data.train_dataloader(), strict=True):
        for value, found in zip(cpu, gpu, strict=True):
            assert found.is_cuda
            torch.testing.assert_close(found.cpu(), value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("batch_size", 0),
        ("batch_size", -5),
        ("eval_batch_size", 0),
        ("split_seed", -1),
        ("seed", -1),
        ("shift", -1),
    ],
)
def test_values_out_of_range_name_the_flag(flag: str, value: int) -> None:
    with pytest.raises(InputError, match=rf"^--data\.{flag} {value}: must"):
        FashionMNISTDataModule(**{flag: value})


@pytest.mark.real_data
def test_batches_of_the_published_set_are_its_bytes(real_data: Path) -> None:
    data = FashionMNISTDataModule(str(real_data))
    data.setup()
    assert data.split == {"split_seed": 0, "train": 55_000, "val": 5_000, "test": 10_000}
    assert torch.equal(data.data.train_labels[data.val_indices].bincount(), torch.full((10,), 500))
    files, _ = source.verified(real_data)
    pixels = np.frombuffer(files["train-images-idx3-ubyte"], np.uint8, offset=16).reshape(60_000, 28, 28)
    classes = np.frombuffer(files["train-labels-idx1-ubyte"], np.uint8, offset=8)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        images, labels, indices = (values.numpy() for values in next(iter(loader)))
        np.testing.assert_array_equal(images[:, 0], pixels[indices] / np.float32(255))
        np.testing.assert_array_equal(labels, classes[indices])
