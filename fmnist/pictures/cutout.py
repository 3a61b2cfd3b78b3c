"""Find the pixels of a picture that show the garment, and estimate the background behind it."""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import polynomial
from scipy import ndimage

from fmnist.pictures.geometry import border_mask
from fmnist.pictures.segmentation import segment

TRIMS = 5  # rounds of the trimmed regression
SAMPLE = 1500  # pixels that a fit uses
TOLERANCE = 0.05
"""Largest distance in RGB that counts as background, 1 from black to white; from the data set's paper."""
NOISE = 3.0  # times the median distance of the border from the fit also counts as background
ROUGH = 0.25  # share of the border that may differ from a smooth background
CROSSINGS = 2  # places where a garment may reach the frame, such as both legs of trousers
GAP = 0.02  # of the longest side: parts of a garment may be so far apart
EDGE = 3  # pixels on both sides of the outline; there the limit is half of the garment's distance
SPECK = 0.02
"""Share of the garment's area: smaller parts are noise, smaller holes are light details of the cloth."""
SMALLEST = 0.001
"""Share of the picture's area: a smaller object is dirt, and there is no garment."""
LIGHT, DARK = 0.85, 0.04  # least channel of white paper, largest of black
FLAT = 0.02  # largest difference of a channel within paper
PAPER_BORDER, PAPER_AREA = 0.015, 0.06  # least shares of paper in the border and in the picture
PIECES = 12  # of paper in the border, at most; stripes have more
GAP_AREA = 0.18  # of the picture: paper between parts of a garment is smaller


@dataclass(frozen=True)
class CutOut:
    """A garment and its background.

    Attributes:
        picture: float32 (H, W, 3) in [0, 1], without transparency.
        background: float32 (H, W, 3), the estimated background, also behind the garment.
        garment: bool (H, W); all of the picture if nothing was found.
        second: Area of the next largest object, relative to the garment's.
        found: Whether there is any object in front of the background.
        lies_flat: Whether the background is a scene, such as a bed or a floor, so that the garment lies or
            hangs spread out.
    """

    picture: np.ndarray
    background: np.ndarray
    garment: np.ndarray
    second: float
    found: bool = True
    lies_flat: bool = False


def cut_out_garment(picture: np.ndarray, opacity: np.ndarray | None) -> CutOut:
    """Separate the garment from its background.

    Transparency around the garment, where there is any, is its outline. Otherwise a smooth background (plain,
    a gradient, even with noise) is estimated from the border, and whatever differs from it is an object. If
    the border is not smooth, some of it may be plain paper, with a garment that is cropped tightly. Otherwise
    a network finds the garment, see ``segment``. Of several objects the most central one is the garment.

    Args:
        picture: float32 (H, W, 3) in [0, 1].
        opacity: float32 (H, W) in [0, 1], or ``None``.
    """
    border = border_mask(picture.shape)
    if opacity is not None:
        if opacity[border].mean() < 0.5:
            return _cut_out_opaque(picture, opacity)
        backdrop = fit_background(picture, border & (opacity > 0.5), degree=2)
        picture = _composite(picture, opacity, backdrop)
    background, objects = _split_smooth_background(picture, border)
    paper = _find_paper(picture, border)
    if paper is not None and (_is_rough(objects, border) or _is_paper(objects, paper)):
        background = np.full_like(picture, picture[paper & border].mean(0))
        objects = _differs(picture, background, paper & border)
    elif _is_rough(objects, border):
        return CutOut(picture, background, *_most_central(segment(picture)), lies_flat=True)
    return CutOut(picture, background, *_most_central(objects))


def _find_paper(picture: np.ndarray, border: np.ndarray) -> np.ndarray | None:
    """Return where plain white or else black paper is, bool (H, W), if some of the border is such paper."""
    for candidates in (picture.min(2) >= LIGHT, picture.max(2) <= DARK):
        if (candidates & border).any():
            paper = np.abs(picture - np.median(picture[candidates & border], axis=0)).max(2) <= FLAT
            is_large = paper[border].mean() >= PAPER_BORDER and paper.mean() >= PAPER_AREA
            if is_large and ndimage.label(paper & border)[1] <= PIECES:
                return paper
    return None


def _is_paper(objects: np.ndarray, paper: np.ndarray) -> bool:
    """Return whether the objects are rather the paper in a corner, or between parts of a garment."""
    has_corner = paper[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    return bool(objects.any() and paper[objects].mean() > 0.9 and (has_corner or paper.mean() < GAP_AREA))


def fit_background(picture: np.ndarray, known: np.ndarray, degree: int) -> np.ndarray:
    """Fit a smooth background: each channel is a polynomial of the position.

    Trimmed regression: it starts from the median colour and repeats least squares without the pixels that
    are far from the last fit, such as a garment that touches the border, or a shadow.

    Args:
        picture: float32 (H, W, 3) in [0, 1].
        known: bool (H, W), the pixels to fit, e.g. the border.
        degree: Largest sum of the two coordinates' exponents.

    Returns:
        float32 (H, W, 3) in [0, 1].
    """
    height, width = known.shape
    y, x = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    pixels = np.flatnonzero(known)
    pixels = pixels[:: max(len(pixels) // SAMPLE, 1)]
    colours = picture.reshape(-1, 3)[pixels]
    powers = np.add.outer(np.arange(degree + 1), np.arange(degree + 1)) <= degree
    terms = polynomial.polyvander2d(y[pixels // width], x[pixels % width], [degree, degree])[
        :, powers.ravel()
    ]
    coefficients = np.zeros((degree + 1, degree + 1, 3))
    coefficients[0, 0] = np.median(colours, axis=0)
    for _ in range(TRIMS):
        error = np.linalg.norm(colours - terms @ coefficients[powers], axis=1)
        near = error <= max(2.5 * float(np.median(error)), 0.01)
        coefficients[powers] = np.linalg.lstsq(terms[near], colours[near], rcond=None)[0]
    background = np.moveaxis(polynomial.polygrid2d(y, x, coefficients), 0, 2)
    return np.clip(background, 0, 1).astype(np.float32)


def _composite(picture: np.ndarray, opacity: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return a partly transparent picture in front of a background, (H, W, 3)."""
    return background + opacity[..., None] * (picture - background)


def _cut_out_opaque(picture: np.ndarray, opacity: np.ndarray) -> CutOut:
    """Cut out what is opaque: on white as in the data set, or on black if it is light."""
    objects = opacity > 0.5
    is_light = objects.any() and np.median(picture[objects]) >= 0.75
    background = np.full_like(picture, 0.0 if is_light else 1.0)
    return CutOut(_composite(picture, opacity, background), background, *_most_central(objects))


def _split_smooth_background(picture: np.ndarray, border: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth background (H, W, 3), fitted twice, and the pixels that differ from it (H, W).

    The first fit is simple and uses the border. The second uses all pixels that are like the first one, and
    can follow uneven light.
    """
    background = fit_background(picture, border, degree=2)
    objects = _differs(picture, background, border)
    if not _is_rough(objects, border):
        around = ~ndimage.binary_dilation(objects, iterations=3) | border
        background = fit_background(picture, around, degree=4)
        objects = _differs(picture, background, border)
    return background, objects


def _is_rough(objects: np.ndarray, border: np.ndarray) -> bool:
    """Return whether too much of the border differs, or in too many places, for a smooth background."""
    _, crossings = ndimage.label(objects & border)
    return bool(objects[border].mean() > ROUGH) or crossings > CROSSINGS


def _differs(picture: np.ndarray, background: np.ndarray, border: np.ndarray) -> np.ndarray:
    """Return which pixels differ from the background by more than tolerance and noise, bool (H, W)."""
    smoothed = ndimage.gaussian_filter(picture - background, (1, 1, 0))
    distance = np.linalg.norm(smoothed, axis=2) / 3**0.5  # 1 from black to white
    noise = NOISE * min(float(np.median(distance[border])), TOLERANCE)
    objects = distance > max(TOLERANCE, noise)
    if noise > TOLERANCE:
        objects = ndimage.binary_opening(objects, iterations=2)
    inside = ndimage.binary_erosion(objects, iterations=EDGE, border_value=1)
    return inside | (objects & (distance > ndimage.maximum_filter(distance, 2 * EDGE + 1) / 2))


def _most_central(objects: np.ndarray) -> tuple[np.ndarray, float, bool]:
    """Return the object that covers most of the middle, bool (H, W), and the area of the next largest.

    The area is relative to that object's. If there is no object, the whole picture is the garment, and the
    last value is false.
    """
    height, width = objects.shape
    joined = ndimage.binary_dilation(objects, iterations=max(round(GAP * max(height, width) / 2), 1))
    labels = ndimage.label(joined)[0] * objects
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    centrality = np.exp(-(y * y + x * x) / 0.7)
    weights = np.bincount(labels.ravel(), centrality.ravel())
    weights[0] = 0
    areas = np.bincount(labels.ravel())
    chosen = int(weights.argmax())
    if not weights.any() or areas[chosen] < SMALLEST * objects.size:
        return np.ones_like(objects), 0.0, False
    own, areas[[0, chosen]] = areas[chosen], 0
    return _tidy(labels == chosen), float(areas.max() / own), True


def _tidy(garment: np.ndarray) -> np.ndarray:
    """Drop specks and fill small holes; larger holes are inside a handle, or between the legs.

    A garment that consists of specks only, such as dots on white cloth, keeps them.
    """
    smallest = SPECK * np.count_nonzero(garment)
    for value in (True, False):
        labels = ndimage.label(garment == value)[0]
        areas = np.bincount(labels.ravel())
        areas[0] = labels.size
        if (areas[1:] >= smallest).any() or not value:
            garment = garment ^ (areas < smallest)[labels]
    return garment
