"""From a picture to the data set's 28 x 28 grey levels, by the steps of its paper."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from fmnist.core.errors import InputError
from fmnist.pictures.background import border_of
from fmnist.pictures.cutout import cut_out_garment
from fmnist.pictures.quality import quality_flags

SIDE = 28
WORKING_SIDE = 224  # longest side that is looked at: 8 pixels for one of the result
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's
PAPER = 0.85
"""Least luma of white: cloth before a darker background is measured against this, not against it."""
COLOURED = 0.06
"""Mean spread of a garment's channels from which a picture is in colour, so a photograph, not a negative."""
SHARPENING = 0.5


@dataclass(frozen=True)
class Prepared:
    """A picture as a network of Fashion-MNIST wants it.

    Attributes:
        image: uint8 (28, 28), the garment on 0.
        polarity: ``"dark-on-light"`` or ``"light-on-dark"``, as the garment lay on its background;
            ``"native"`` where the picture was an image of the data set already.
        flags: What is amiss with the picture, of ``quality.FLAGS``.
    """

    image: np.ndarray
    polarity: str
    flags: tuple[str, ...]


def prepare(
    picture: np.ndarray, cut_out: str = "border", stages: dict[str, np.ndarray] | None = None
) -> Prepared:
    """Prepare a picture by the steps of the data set's paper (Xiao et al. 2017, arXiv 1708.07747, section 2).

    The paper trims the border, resizes the longest edge to 28, sharpens, centres, negates and turns to
    8-bit grey. Its pictures were cut out, on white; here the background is first estimated from the border
    and taken away, and resizing averages instead of skipping pixels.

    An image of the data set comes through bit for bit, see ``is_native``.

    Args:
        picture: uint8 (H, W), (H, W, 3) or (H, W, 4), upright, as ``read_picture`` returns it.
        cut_out: ``"border"``, or ``"grabcut"`` for cluttered backgrounds (needs opencv-python-headless).
        stages: Filled, where given, with each step's picture by name, in order.

    Raises:
        InputError: ``cut_out`` is neither, opencv is wanted and missing, or the picture has another shape.
    """
    stages = {} if stages is None else stages
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,), (4,)):
        raise InputError(
            f"picture {picture.dtype} {picture.shape}: must be uint8 (H, W), (H, W, 3) or (H, W, 4)"
        )
    stages["upright picture"] = picture
    if is_native(picture):
        image = picture.reshape(SIDE, SIDE, -1)[..., 0].copy()
        stages["final"] = image
        return Prepared(image, "native", ())

    colours, opaque = working_copy(picture)
    found = cut_out_garment(colours, opaque, cut_out)
    levels, polarity = grey_levels(found.picture, found.background, found.garment)
    contrast = np.linalg.norm(found.picture - found.background, axis=2)[found.garment].mean() / 3**0.5
    trimmed = trim(levels * ndimage.uniform_filter(found.garment.astype(np.float32), 3), found.garment)
    resized = resize(trimmed)
    sharpened = sharpen(resized)
    image = centre(_eight_bits(sharpened / max(float(sharpened.max()), 1e-3)))
    stages |= {
        "background": _eight_bits(found.background),
        "mask": _eight_bits(found.garment),
        "trimmed": _eight_bits(trimmed),
        "resized": _eight_bits(resized),
        "sharpened": _eight_bits(sharpened),
        "final": image,
    }
    return Prepared(image, polarity, quality_flags(found.garment, found.second, float(contrast)))


def is_native(picture: np.ndarray) -> bool:
    """Say whether a picture is an image of the data set: 28 x 28, grey, opaque, more black than white around.

    "Around" are the outermost pixels; black is below 8, white above 247. This holds for all 70,000.
    """
    if picture.shape[:2] != (SIDE, SIDE):
        return False
    channels = picture.reshape(SIDE, SIDE, -1)
    if (channels[..., :3] != channels[..., :1]).any() or (channels[..., 3:] < 255).any():
        return False
    around = channels[..., 0][border_of((SIDE, SIDE))]
    return int((around < 8).sum()) > int((around > 247).sum())


def working_copy(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a reduced copy, float32 (h, w, 3) in [0, 1], and its opacity (h, w), or ``None`` if it has none.

    Averages over transparent pixels are weighted by their opacity, whatever colour lies under them.
    """
    image = Image.fromarray(picture)
    scale = WORKING_SIDE / max(image.size)
    if scale < 1:
        size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
        image = image.resize(size, Image.Resampling.BOX)  # Pillow weights by alpha itself
    pixels = np.asarray(image, np.float32) / 255
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2), None
    opaque = pixels[..., 3] if pixels.shape[2] == 4 and pixels[..., 3].min() < 1 else None
    return pixels[..., :3], opaque


def grey_levels(picture: np.ndarray, background: np.ndarray, garment: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the levels of the data set, float32 (H, W) in [0, 1], and the polarity.

    The data set negates photographs, so dark cloth is bright; its brightest pixel is 255 in nearly every
    image. A grey garment lighter than its background is taken for a negative already (or a white shirt on
    black, whose outline that shows best) and kept; in colour it is a photograph and negated like any other.
    """
    luma, behind = picture @ LUMA, background @ LUMA
    dark = bool(np.median((behind - luma)[garment]) >= 0)
    if dark:
        levels = np.maximum(behind, PAPER) - luma
    elif np.ptp(picture[garment], axis=1).mean() > COLOURED:
        levels = 1 - luma
    else:
        levels = luma - behind
    top = max(float(np.percentile(levels[garment], 99)), 1e-3)
    return np.clip(levels / top, 0, 1), "dark-on-light" if dark else "light-on-dark"


def trim(levels: np.ndarray, garment: np.ndarray) -> np.ndarray:
    """Cut the levels to the garment's bounding box."""
    rows, columns = np.flatnonzero(garment.any(axis=1)), np.flatnonzero(garment.any(axis=0))
    return levels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def resize(levels: np.ndarray) -> np.ndarray:
    """Bring the longest edge to 28, each pixel the mean of what it covers."""
    height, width = levels.shape
    scale = SIDE / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BOX))


def sharpen(levels: np.ndarray) -> np.ndarray:
    """Sharpen with a Gaussian of radius and standard deviation 1.0, as an unsharp mask."""
    return np.clip(levels + SHARPENING * (levels - ndimage.gaussian_filter(levels, 1.0, radius=1)), 0, 1)


def centre(image: np.ndarray) -> np.ndarray:
    """Put an image in the middle of a black (28, 28); an odd pixel goes above and to the left, as theirs."""
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    height, width = image.shape
    top, left = (SIDE - height + 1) // 2, (SIDE - width + 1) // 2
    canvas[top : top + height, left : left + width] = image
    return canvas


def _eight_bits(picture: np.ndarray) -> np.ndarray:
    return np.round(picture.astype(np.float32) * 255).astype(np.uint8)
