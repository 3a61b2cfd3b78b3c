"""The border of a picture, a frame around it, and pictures in other sizes."""

import numpy as np
from PIL import Image

BORDER = 0.04
"""Width of the border, as a share of the shorter side."""

MAT_TOLERANCE = 12  # levels within which a mat is plain; JPEG changes it so much
MAT_DIRT = 0.01  # share of a row or column of the mat that may differ
MAT_EDGE = 0.01  # of the longest side: so far JPEG blurs the edge of the photograph
STRAIGHT = 0.95  # least share of each side of a rectangle that is no mat
LEAST_INSIDE = 0.1  # of the area


def border_mask(shape: tuple[int, ...]) -> np.ndarray:
    """Return where the border of a picture (H, W, ...) is, bool (H, W)."""
    height, width = shape[:2]
    thickness = max(round(BORDER * min(height, width)), 1)
    border = np.ones((height, width), bool)
    border[thickness:-thickness, thickness:-thickness] = False
    return border


def remove_mat(picture: np.ndarray) -> np.ndarray:
    """Return the photograph within a plain mat, or between plain bars, of a picture uint8 (H, W, ...).

    What is in the middle is a photograph if it is a rectangle, without any of the mat's colour on its four
    sides. A picture without a mat is returned as it is.
    """
    height, width = picture.shape[:2]
    levels = picture.reshape(height, width, -1)
    corners = levels[[0, 0, -1, -1], [0, -1, 0, -1]].astype(np.int16)
    if (np.ptp(corners, axis=0) > MAT_TOLERANCE).any():
        return picture
    differs = np.zeros((height, width), bool)
    for channel, colour in zip(np.moveaxis(levels, 2, 0), corners[0], strict=True):
        differs |= np.abs(channel - colour) > MAT_TOLERANCE
    rows, columns = (np.flatnonzero(differs.mean(axis) > MAT_DIRT) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return picture
    edge = max(round(MAT_EDGE * max(height, width)), 1)
    box = tuple(
        slice(first + edge * (first > 0), last + 1 - edge * (last < side - 1))
        for first, last, side in ((rows[0], rows[-1], height), (columns[0], columns[-1], width))
    )
    inside = differs[box]
    if inside.size < LEAST_INSIDE * differs.size or inside.size == differs.size:
        return picture
    sides = inside[0], inside[-1], inside[:, 0], inside[:, -1]
    return picture[box] if min(side.mean() for side in sides) >= STRAIGHT else picture


def resize(picture: np.ndarray, side: int, width: float = 1) -> np.ndarray:
    """Bring the longest side to ``side`` pixels; each new pixel is the mean of those that it covers.

    The picture is float32 (H, W), or uint8 (H, W), (H, W, 3) or (H, W, 4). Colours are weighted by their
    opacity, so the colour of transparent pixels does not matter. The picture is first made ``width`` times as
    wide.
    """
    image = Image.fromarray(picture)
    scale = side / max(image.width * width, image.height)
    size = max(round(image.width * width * scale), 1), max(round(image.height * scale), 1)
    return np.asarray(image.resize(size, Image.Resampling.BOX))


def shrink(picture: np.ndarray, side: int) -> np.ndarray:
    """Return a picture whose longest side is ``side`` pixels at most, see ``resize``."""
    return resize(picture, side) if max(picture.shape[:2]) > side else picture
