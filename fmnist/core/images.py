"""Images as files and arrays hold them (uint8), and as models take them (float32 in [0, 1])."""

from typing import TYPE_CHECKING

import numpy as np

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


def to_float(images: np.ndarray) -> np.ndarray:
    """Return uint8 levels as float32 in [0, 1], of the same shape."""
    return np.divide(images, np.float32(255), dtype=np.float32)


def as_pixels(images: np.ndarray) -> np.ndarray:
    """Return images uint8 (N, 28, 28) as float32 (N, 784) in [0, 1]: row by row."""
    return to_float(images.reshape(len(images), -1))


def to_uint8(levels: np.ndarray) -> np.ndarray:
    """Return levels in [0, 1] as uint8, of the same shape; what lies outside is clipped."""
    return np.round(np.clip(levels, 0, 1) * np.float32(255)).astype(np.uint8)


def to_input(images: "Tensor") -> "Tensor":
    """Return images uint8 (N, 28, 28) as networks take them, float32 (N, 1, 28, 28) in [0, 1]."""
    return images[:, None].float().div_(255)


def check_images(images: np.ndarray) -> None:
    """Refuse arrays that are not images, uint8 (N, 28, 28), at least one.

    Raises:
        InputError: They have another shape or type.
    """
    if images.dtype != np.uint8 or images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE) or not len(images):
        raise InputError(
            f"images: must be uint8 (N, {IMAGE_SIZE}, {IMAGE_SIZE}), are {images.dtype} {images.shape}"
        )
