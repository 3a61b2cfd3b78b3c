"""The border of a picture, and pictures in other sizes."""

import numpy as np
from PIL import Image

BORDER = 0.04
"""Width of the border, as a share of the shorter side."""


def border_mask(shape: tuple[int, ...]) -> np.ndarray:
    """Return where the border of a picture (H, W, ...) is, bool (H, W)."""
    height, width = shape[:2]
    thickness = max(round(BORDER * min(height, width)), 1)
    border = np.ones((height, width), bool)
    border[thickness:-thickness, thickness:-thickness] = False
    return border


def resize(picture: np.ndarray, side: int) -> np.ndarray:
    """Bring the longest side to ``side`` pixels; each new pixel is the mean of those that it covers.

    The picture is float32 (H, W), or uint8 (H, W), (H, W, 3) or (H, W, 4). Colours are weighted by their
    opacity, so the colour of transparent pixels does not matter.
    """
    image = Image.fromarray(picture)
    scale = side / max(image.size)
    size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
    return np.asarray(image.resize(size, Image.Resampling.BOX))


def shrink(picture: np.ndarray, side: int) -> np.ndarray:
    """Return a picture whose longest side is ``side`` pixels at most, see ``resize``."""
    return resize(picture, side) if max(picture.shape[:2]) > side else picture
