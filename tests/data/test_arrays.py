"""The numpy adapter hands on the very bytes of the files, in the order of the networks' split."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from fmnist.data.arrays import Part, arrays_of, as_pixels, images_of
from fmnist.data.datamodule import FashionMNISTDataModule

FILES: dict[Part, str] = {"train": "train", "val": "train", "test": "t10k"}


def module(root: Path, **split: int) -> FashionMNISTDataModule:
    data = FashionMNISTDataModule(str(root), **split)
    data.setup()
    return data


def raw(root: Path, name: str, header: int) -> np.ndarray:
    """Return the bytes of an idx file after its header, read without the package."""
    zipped = root / f"{name}.gz"
    content = gzip.decompress(zipped.read_bytes()) if zipped.exists() else (root / name).read_bytes()
    return np.frombuffer(content, np.uint8, offset=header)


def check_against_files(data: FashionMNISTDataModule, root: Path) -> None:
    for part, file in FILES.items():
        pixels = raw(root, f"{file}-images-idx3-ubyte", 16).reshape(-1, 784)
        labels = raw(root, f"{file}-labels-idx1-ubyte", 8)
        x, y = arrays_of(data, part)
        indices = getattr(data, f"{part}_indices").numpy()
        assert (np.diff(indices) > 0).all()
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        assert np.array_equal(x, pixels[indices].astype(np.float32) / np.float32(255))
        assert np.array_equal(y, labels[indices])


def test_arrays_are_the_files_bytes_in_the_splits_order(synthetic_root: Path) -> None:
    check_against_files(module(synthetic_root, val_size=100, train_size=200), synthetic_root)


@pytest.mark.real_data
def test_arrays_are_the_published_files_bytes(real_data: Path) -> None:
    check_against_files(module(real_data), real_data)


def test_networks_see_the_same_images(synthetic_root: Path) -> None:
    data = module(synthetic_root, val_size=100)
    x, y = arrays_of(data, "val")
    loader = data.val_dataloader()
    assert not isinstance(loader, list)
    batches = list(loader)
    assert np.array_equal(np.concatenate([images.numpy().reshape(-1, 784) for images, _, _ in batches]), x)
    assert np.array_equal(np.concatenate([labels.numpy() for _, labels, _ in batches]), y)


def test_a_whole_file_is_not_copied(synthetic_root: Path) -> None:
    data = module(synthetic_root, val_size=0)
    for part in ("train", "test"):
        whole = data.data.train_images if part == "train" else data.data.test_images
        images, _, indices = images_of(data, part)
        assert np.shares_memory(images, whole.numpy())
        assert np.array_equal(indices, np.arange(len(whole)))
    assert not len(images_of(data, "val").images)


def test_pixels_lie_between_0_and_1() -> None:
    images = np.zeros((1, 28, 28), np.uint8)
    images[0, 1, 2], images[0, 27, 27] = 255, 51
    pixels = as_pixels(images)
    assert pixels.shape == (1, 784)
    assert np.flatnonzero(pixels[0]).tolist() == [30, 783]
    assert pixels[0, [30, 783]].tolist() == [1.0, np.float32(0.2)]
