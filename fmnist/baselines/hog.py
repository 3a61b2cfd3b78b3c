"""Histograms of oriented gradients, of a whole data set at once."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.errors import InputError

BATCH = 200  # few enough for the processor's cache


def hog(
    images: np.ndarray, orientations: int = 8, cell: int | Sequence[int] = 4, block: int = 2
) -> np.ndarray:
    """Return histograms of oriented gradients (Dalal & Triggs 2005), normalised in overlapping blocks.

    Written out rather than taken from scikit-image, which takes one image at a time (600 images/s here,
    so a minute and a half for the training set), and has neither of two choices that pay on validation
    (an SVM on 10,000 images): directions over the whole circle, because the brighter side of an edge
    tells clothes apart (0.907 to 0.918), and square roots of histograms that sum to one,
    Hellinger's kernel as in RootSIFT (Arandjelović & Zisserman 2012), because weak edges count, too,
    beside strong ones (0.910 to 0.918).

    Args:
        images: uint8 (N, 28, 28).
        orientations: Bins of the circle.
        cell: Side of a cell in pixels, a divisor of 28. The histograms of several sizes stand side by side,
            scaled so that no size counts more because it has more blocks.
        block: Side of a block in cells.

    Returns:
        float32 (N, b * b * orientations * block * block) with b = 28 / cell - block + 1 blocks a side; of
        several sizes, the sum of these numbers of columns.

    Raises:
        InputError: A size does not fit the images.
    """
    check_sizes(orientations, cell, block)
    sizes = _sizes(cell)

    def histograms(part: np.ndarray) -> Tensor:
        levels = torch.from_numpy(part).float()
        shares = [_blocks(_cells(levels, orientations, size), block) for size in sizes]
        # a row's norm is the square root of its number of blocks
        return torch.cat([s * math.sqrt(shares[0].size(1) / s.size(1)) for s in shares], 1)

    parts = np.split(images, range(BATCH, len(images), BATCH))
    return torch.cat([histograms(part) for part in parts]).numpy()


def _sizes(cell: Any) -> list[Any]:
    return list(cell) if isinstance(cell, Sequence) and not isinstance(cell, str) else [cell]


def check_sizes(orientations: Any = 8, cell: Any = 4, block: Any = 2) -> None:
    """Refuse what ``hog`` cannot do, before there are images.

    Raises:
        InputError: A size is no whole number, or does not fit the images.
    """
    sizes = _sizes(cell)
    if not sizes:
        raise InputError("--features hog cell []: must be a size, or a list of them")
    numbers = [("orientations", orientations), *(("cell", size) for size in sizes), ("block", block)]
    for name, value in numbers:
        if not isinstance(value, int) or isinstance(value, bool):
            raise InputError(f"--features hog {name} {value!r:.40}: must be a whole number")
    if orientations < 2:
        raise InputError(f"--features hog orientations {orientations}: must be at least 2")
    for size in sizes:
        if size < 1 or IMAGE_SIZE % size:
            raise InputError(f"--features hog cell {size}: must be a divisor of {IMAGE_SIZE}")
        if not 1 <= block <= IMAGE_SIZE // size:
            raise InputError(
                f"--features hog block {block}: must lie between 1 and {IMAGE_SIZE // size}, the cells a side"
            )


def _cells(images: Tensor, orientations: int, cell: int) -> Tensor:
    """Return the histogram of every cell, (N, orientations, 28 / cell, 28 / cell).

    Each gradient counts in the two nearest bins and the four nearest cells, by closeness, so that little
    changes when an edge turns or moves a little.
    """
    padded = F.pad(images[:, None], (1, 1, 1, 1), mode="replicate")
    dx = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    dy = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    place = torch.atan2(dy, dx) * (orientations / (2 * math.pi))  # (N, 1, 28, 28), in bins
    half = orientations / 2
    bins = torch.arange(orientations).view(1, -1, 1, 1)
    distance = (place - bins + half).remainder_(orientations).sub_(half).abs_()  # the shorter way round
    shares = (1 - distance).clamp_(min=0).mul_(torch.hypot(dx, dy))  # (N, orientations, 28, 28)
    size = 2 * cell - cell % 2  # a tent over a cell and half of its neighbours
    tent = 1 - (torch.arange(size) - (size - 1) / 2).abs() / cell
    weights = torch.outer(tent, tent)[None, None]
    pooled = F.conv2d(shares.flatten(0, 1)[:, None], weights, stride=cell, padding=(size - cell) // 2)
    return pooled.view(len(images), orientations, IMAGE_SIZE // cell, IMAGE_SIZE // cell)


def _blocks(cells: Tensor, block: int) -> Tensor:
    """Return the square roots of each block's shares, side by side."""
    blocks = cells.unfold(2, block, 1).unfold(3, block, 1)  # (N, orientations, b, b, block, block)
    shares = blocks.permute(0, 2, 3, 1, 4, 5).flatten(3)
    return (shares / (shares.sum(-1, keepdim=True) + 1)).sqrt().flatten(1)  # 1 keeps flat blocks at 0
