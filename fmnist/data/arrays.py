"""The images of a data module's split as numpy arrays, for scikit-learn."""

from typing import Literal, NamedTuple

import numpy as np

from fmnist.core.images import as_pixels
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
    """Return the images of one part of the split, in the order of the file.

    The arrays share the data set's memory where the part is the whole file; otherwise they are copies.

    Args:
        data: The data set and its split.
        part: ``train`` or ``val``, from the file of 60,000 images, or ``test``.
    """
    indices = getattr(data, f"{part}_indices").numpy()
    source = "test" if part == "test" else "train"
    images, labels = getattr(data.data, f"{source}_images"), getattr(data.data, f"{source}_labels")
    chosen = slice(None) if len(indices) == len(images) else indices
    return Images(images.numpy()[chosen], labels.numpy()[chosen], indices)


def arrays_of(data: FashionMNISTDataModule, part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Return ``X``, float32 (N, 784) in [0, 1], and ``y``, int64 (N,), of a part of the split."""
    images, labels, _ = images_of(data, part)
    return as_pixels(images), labels
