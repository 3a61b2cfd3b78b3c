"""The numpy adapter returns the very bytes of the files, in the order of the networks' split."""

import gzip
from pathlib import Path
from typing import get_args

import numpy as np

from fmnist.core.images import as_pixels
from fmnist.data.arrays import Part, images_of, training_images_of
from fmnist.data.augmentation import Augmentation
from fmnist.data.datamodule import FashionMNISTDataModule


def raw(root: Path, name: str, header: int) -> np.ndarray:
    """Return the bytes of an idx file after its header, read without the package."""
    return np.frombuffer(gzip.decompress((root / f"{name}.gz").read_bytes()), np.uint8, offset=header)


def test_arrays_are_the_files_bytes_in_the_splits_order(synthetic_root: Path) -> None:
    data = FashionMNISTDataModule(str(synthetic_root), val_size=100, train_size=200)
    for part in get_args(Part):
        file = "t10k" if part == "test" else "train"
        pixels = raw(synthetic_root, f"{file}-images-idx3-ubyte", 16).reshape(-1, 784)
        labels = raw(synthetic_root, f"{file}-labels-idx1-ubyte", 8)
        images, classes, indices = images_of(data, part)
        assert np.array_equal(indices, getattr(data, f"{part}_indices"))
        assert classes.dtype == np.int64
        assert np.array_equal(classes, labels[indices])
        assert np.array_equal(as_pixels(images), pixels[indices] / np.float32(255))


def test_copies_are_the_images_of_later_epochs(synthetic_root: Path) -> None:
    data = FashionMNISTDataModule(
        str(synthetic_root), val_size=100, batch_size=50, augmentation=Augmentation(shift=2, flip=True)
    )
    images, labels = training_images_of(data, copies=2)
    plain = images_of(data, "train")
    assert np.array_equal(images[:500], plain.images)
    assert np.array_equal(labels, np.tile(plain.labels, 3))
    loader = data.train_dataloader()
    loader.sampler.set_epoch(2)
    for batch, _, indices in loader:
        places = np.searchsorted(plain.indices, indices)
        assert np.array_equal(as_pixels(images[1000 + places]), batch.flatten(1))


def test_without_copies_the_images_are_the_files(synthetic_root: Path) -> None:
    images, labels = training_images_of(FashionMNISTDataModule(str(synthetic_root), val_size=0))
    assert (images.shape, images.dtype, labels.shape) == ((600, 28, 28), np.uint8, (600,))


def test_a_whole_file_is_not_copied(synthetic_root: Path) -> None:
    data = FashionMNISTDataModule(str(synthetic_root), val_size=0)
    assert np.shares_memory(images_of(data, "train").images, data.data.train_images.numpy())
    assert not len(images_of(data, "val").images)
