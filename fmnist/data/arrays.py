"""The numpy adapter: the images of the networks' own split, as scikit-learn takes them."""

from typing import Literal, NamedTuple

import numpy as np

from fmnist.data.datamodule import FashionMNISTDataModule

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


class Images(NamedTuple):
    """One part of the split as it is in the files.

    Attributes:
        images: uint8 (N, 28, 28).
        labels: int64 (N,), 0..9.
        indices: int64 (N,) into the source file, ascending.
    """

    images: np.ndarray
    labels: np.ndarray
    indices: np.ndarray


def images_of(data: FashionMNISTDataModule, part: Part) -> Images:
    """Return the images that the networks train on, are selected by, or are tested on.

    The arrays share the data set's memory where the part is the whole file; otherwise they are copies.

    Args:
        data: Set up.
        part: ``train``, ``val`` (both of the file of 60,000 images) or ``test``.
    """
    indices = getattr(data, f"{part}_indices").numpy()
    source = "test" if part == "test" else "train"
    images, labels = getattr(data.data, f"{source}_images"), getattr(data.data, f"{source}_labels")
    chosen = slice(None) if len(indices) == len(images) else indices
    return Images(images.numpy()[chosen], labels.numpy()[chosen], indices)


def as_pixels(images: np.ndarray) -> np.ndarray:
    """Return images uint8 (N, 28, 28) as float32 (N, 784) in [0, 1]: row by row, divided by 255."""
    return np.divide(images.reshape(len(images), -1), np.float32(255), dtype=np.float32)


def arrays_of(data: FashionMNISTDataModule, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Return ``X``, float32 (N, 784) in [0, 1], and ``y``, int64 (N,), of a part of the split."""
    images, labels, _ = images_of(data, part)
    return as_pixels(images), labels
