"""What lies behind the garment, estimated from the border of the picture."""

import numpy as np
from numpy.polynomial import polynomial

BORDER = 0.04
"""Width of the border, as a share of the shorter side."""
TRIMS = 5
SAMPLE = 1500  # pixels a fit looks at


def border_of(shape: tuple[int, ...]) -> np.ndarray:
    """Return where the border of a picture (H, W, ...) is, bool (H, W)."""
    height, width = shape[:2]
    thickness = max(round(BORDER * min(height, width)), 1)
    border = np.ones((height, width), bool)
    border[thickness:-thickness, thickness:-thickness] = False
    return border


def smooth_background(picture: np.ndarray, known: np.ndarray, degree: int) -> np.ndarray:
    """Fit a smooth background: each channel a polynomial of the position.

    Least squares, repeated without the pixels far from the fit (a garment that touches the border, a
    shadow), as in trimmed regression; it begins with the median colour.

    Args:
        picture: float32 (H, W, 3) in [0, 1].
        known: bool (H, W), the pixels to fit, e.g. the border.
        degree: Of the polynomial in both coordinates together.

    Returns:
        float32 (H, W, 3) in [0, 1].
    """
    height, width = known.shape
    y, x = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
    places = np.flatnonzero(known)
    places = places[:: max(len(places) // SAMPLE, 1)]
    colours = picture.reshape(-1, 3)[places]
    powers = np.add.outer(np.arange(degree + 1), np.arange(degree + 1)) <= degree
    terms = polynomial.polyvander2d(y[places // width], x[places % width], [degree, degree])[
        :, powers.ravel()
    ]
    fit = np.zeros((degree + 1, degree + 1, 3))
    fit[0, 0] = np.median(colours, axis=0)
    for _ in range(TRIMS):
        error = np.linalg.norm(colours - terms @ fit[powers], axis=1)
        near = error <= max(2.5 * float(np.median(error)), 0.01)
        fit[powers] = np.linalg.lstsq(terms[near], colours[near], rcond=None)[0]
    background = np.moveaxis(polynomial.polygrid2d(y, x, fit), 0, 2)
    return np.clip(background, 0, 1).astype(np.float32)
