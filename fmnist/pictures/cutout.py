"""Which pixels of a picture are the garment."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from fmnist.core.errors import InputError
from fmnist.pictures.background import border_of, smooth_background
from fmnist.pictures.segmentation import grabcut, segment

CUT_OUTS = ("border", "grabcut")
CLOSENESS = 0.05
"""What the data set's paper takes for background: within 5 % of the largest distance in RGB."""
NOISE = 3.0  # times the border's median distance from the fit: nearer is background, too
ROUGH = 0.25  # share of the border that a smooth background may leave unexplained
PLACES = 2  # where a garment may reach the frame, such as both legs of trousers; more are other things
GAP = 0.02  # of the longest side: parts of a garment that are no farther apart belong together
EDGE = 3  # pixels: so near to the outline, the garment ends where half of its difference is left
SPECK = 0.02
"""Of the area of a garment: smaller parts are noise, smaller holes are light details of the cloth."""


@dataclass(frozen=True)
class CutOut:
    """A garment and what is around it.

    Attributes:
        picture: float32 (H, W, 3) in [0, 1], without transparency.
        background: float32 (H, W, 3), what lies behind the garment, as estimated.
        garment: bool (H, W), at least one pixel.
        second: Area of the next largest object, in garments.
    """

    picture: np.ndarray
    background: np.ndarray
    garment: np.ndarray
    second: float


def cut_out_garment(picture: np.ndarray, opacity: np.ndarray | None, cut_out: str) -> CutOut:
    """Separate the garment from what is behind it.

    Transparency around it says where it is. Otherwise the background is what the border shows: where that
    is smooth (plain, a gradient, even with noise), everything that differs from it is an object. Where it
    is not, the garment is what stands out in the middle by its colours. The most central object wins.

    Args:
        picture: float32 (H, W, 3) in [0, 1].
        opacity: float32 (H, W) in [0, 1], or ``None``.
        cut_out: One of ``CUT_OUTS``; ``"grabcut"`` refines it before backgrounds that are not smooth.

    Raises:
        InputError: There is no such way, or opencv is wanted and not installed.
    """
    if cut_out not in CUT_OUTS:
        raise InputError(f"cut_out {cut_out!r}: must be one of {', '.join(CUT_OUTS)}")
    border = border_of(picture.shape)
    if opacity is not None:
        if opacity[border].mean() < 0.5:
            return _from_transparency(picture, opacity)
        backdrop = smooth_background(picture, border & (opacity > 0.5), degree=2)
        picture = backdrop + opacity[..., None] * (picture - backdrop)
    background, objects = _unlike_a_smooth_background(picture, border)
    if _is_rough(objects, border):
        objects = grabcut(picture) if cut_out == "grabcut" else segment(picture)
    return CutOut(picture, background, *_most_central(objects))


def _from_transparency(picture: np.ndarray, opacity: np.ndarray) -> CutOut:
    """Put the garment on white, as in the data set; a light one on black, where it is seen."""
    objects = opacity > 0.5
    white = 1.0 if not objects.any() or np.median(picture[objects]) < 0.75 else 0.0
    background = np.full_like(picture, white)
    return CutOut(
        background + opacity[..., None] * (picture - background), background, *_most_central(objects)
    )


def _unlike_a_smooth_background(picture: np.ndarray, border: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth background and what differs from it, fitted twice.

    The border gives a first, simple fit. What looks like it inside gives the second, which can follow
    light that falls off unevenly.
    """
    background = smooth_background(picture, border, degree=2)
    objects = _differs(picture, background, border)
    if not _is_rough(objects, border):
        around = ~ndimage.binary_dilation(objects, iterations=3) | border
        background = smooth_background(picture, around, degree=4)
        objects = _differs(picture, background, border)
    return background, objects


def _is_rough(objects: np.ndarray, border: np.ndarray) -> bool:
    """Say whether so much differs at the border, or in so many places, that the background is not smooth."""
    _, places = ndimage.label(objects & border)
    return bool(objects[border].mean() > ROUGH) or places > PLACES


def _differs(picture: np.ndarray, background: np.ndarray, border: np.ndarray) -> np.ndarray:
    calm = ndimage.gaussian_filter(picture - background, (1, 1, 0))
    distance = np.linalg.norm(calm, axis=2) / 3**0.5  # 1 from black to white
    noise = NOISE * min(float(np.median(distance[border])), CLOSENESS)
    objects = distance > max(CLOSENESS, noise)
    if noise > CLOSENESS:
        objects = ndimage.binary_opening(objects, iterations=2)
    inside = ndimage.binary_erosion(objects, iterations=EDGE, border_value=1)
    return inside | (objects & (distance > ndimage.maximum_filter(distance, 2 * EDGE + 1) / 2))


def _most_central(objects: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the object that covers most of the middle, and the area of the largest other one over its own.

    Without any object, all is garment.
    """
    height, width = objects.shape
    joined = ndimage.binary_dilation(objects, iterations=max(round(GAP * max(height, width) / 2), 1))
    parts = ndimage.label(joined)[0] * objects
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    middle = np.exp(-(y * y + x * x) / 0.7)
    weights = np.bincount(parts.ravel(), middle.ravel())
    weights[0] = 0
    if not weights.any():
        return np.ones_like(objects), 0.0
    areas = np.bincount(parts.ravel())
    chosen = int(weights.argmax())
    own, areas[[0, chosen]] = areas[chosen], 0
    return _tidied(parts == chosen), float(areas.max() / own)


def _tidied(garment: np.ndarray) -> np.ndarray:
    """Drop specks and fill small holes; a larger hole is a handle's, or lies between the legs.

    What is made of specks alone, dots on white cloth for one, stays as it is.
    """
    least = SPECK * np.count_nonzero(garment)
    for value in (True, False):
        parts = ndimage.label(garment == value)[0]
        areas = np.bincount(parts.ravel())
        areas[0] = parts.size
        if (areas[1:] >= least).any() or not value:
            garment = garment ^ (areas < least)[parts]
    return garment
