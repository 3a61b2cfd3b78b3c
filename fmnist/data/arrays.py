"""The images of a data module's split as numpy arrays, for scikit-learn."""

from typing import Literal, NamedTuple

import numpy as np

from fmnist.data.datamodule import FashionMNISTDataModule

Part = Literal["train", "val", "test"]
COPIED_AT_ONCE = 1_000


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
    """
    indices = getattr(data, f"{part}_indices").numpy()
    source = "test" if part == "test" else "train"
    images, labels = getattr(data.data, f"{source}_images"), getattr(data.data, f"{source}_labels")
    chosen = slice(None) if len(indices) == len(images) else indices
    return Images(images.numpy()[chosen], labels.numpy()[chosen], indices)


def training_images_of(data: FashionMNISTDataModule, copies: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the training images, followed by ``copies`` augmented copies of all of them.

    Copy k = 1, 2, ... is augmented as in epoch k of a network, counted from 0; without mixup and CutMix.

    Returns:
        uint8 ((1 + copies) * N, 28, 28), and their labels, int64.
    """
    images, labels, _ = images_of(data, "train")
    made, loader = [images], data.train_dataloader()
    for epoch in range(1, copies + 1):
        loader.sampler.set_epoch(epoch)
        for indices in data.train_indices.split(COPIED_AT_ONCE):
            batch, _ = loader.augmenter.batch(indices)
            made.append((batch[:, 0] * 255).round().byte().numpy())
    return np.concatenate(made), np.tile(labels, 1 + copies)
