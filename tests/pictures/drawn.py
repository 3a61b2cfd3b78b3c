"""Drawn pictures: a shirt of one colour in front of a background."""

import numpy as np
from PIL import Image, ImageDraw

SHIRT = ((30, 10), (70, 10), (95, 35), (80, 45), (75, 40), (75, 90), (25, 90), (25, 40), (20, 45), (5, 35))


def shirt_mask(
    height: int = 300, width: int = 260, side: int = 180, top: int = 60, left: int = 40
) -> np.ndarray:
    """Return where a shirt is, bool (height, width)."""
    image = Image.new("1", (width, height))
    ImageDraw.Draw(image).polygon([(left + x * side // 100, top + y * side // 100) for x, y in SHIRT], fill=1)
    return np.asarray(image)


def shirt(colour: tuple[int, ...], background: object, mask: np.ndarray | None = None) -> np.ndarray:
    """Return a picture uint8 (H, W, 3) of a shirt in front of a colour, or of a picture."""
    mask = shirt_mask() if mask is None else mask
    return np.where(mask[..., None], colour, background).astype(np.uint8)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return intersection over union of two masks."""
    return float((a & b).sum() / (a | b).sum())
