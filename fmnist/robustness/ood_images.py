"""Out-of-distribution (OOD) images, which show no garments: drawn digits, and noise."""

from collections.abc import Callable

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.images import to_uint8

BOX = 20  # longest side of a digit in pixels, as MNIST has it
STEP = 0.02  # between the points along a stroke, as a share of the digit's height

Stroke = list[tuple[float, float]]
"""Points (x, y) that a smooth curve goes through, y downwards, the digit's height 1."""
DIGITS: tuple[list[list[Stroke]], ...] = (
    [
        [[(0.55, 0.02), (0.2, 0.15), (0.05, 0.55), (0.25, 0.95), (0.55, 0.9), (0.72, 0.5), (0.6, 0.1),
          (0.4, 0.03)]],
        [[(0.35, 0), (0.08, 0.25), (0.1, 0.75), (0.36, 1), (0.62, 0.75), (0.64, 0.25), (0.37, 0)]],
    ],
    [
        [[(0.2, 0), (0.2, 0.5), (0.2, 1)]],
        [[(0, 0.28), (0.15, 0.14), (0.28, 0)], [(0.28, 0), (0.28, 0.5), (0.28, 1)]],
    ],
    [
        [
            [(0.05, 0.25), (0.2, 0.04), (0.48, 0.03), (0.6, 0.25), (0.45, 0.55), (0.05, 0.96)],
            [(0.05, 0.96), (0.35, 0.95), (0.65, 0.96)],
        ],
        [[(0.06, 0.2), (0.3, 0), (0.55, 0.2), (0.4, 0.6), (0.12, 0.92), (0.05, 0.8), (0.25, 0.78),
          (0.7, 0.98)]],
    ],
    [
        [
            [(0.05, 0.12), (0.3, 0), (0.55, 0.15), (0.5, 0.36), (0.25, 0.46)],
            [(0.25, 0.46), (0.55, 0.56), (0.6, 0.8), (0.35, 1), (0.02, 0.88)],
        ],
        [
            [(0.05, 0.03), (0.3, 0.02), (0.58, 0.03)],
            [(0.58, 0.03), (0.42, 0.22), (0.27, 0.42)],
            [(0.27, 0.42), (0.55, 0.5), (0.6, 0.78), (0.36, 0.99), (0.02, 0.9)],
        ],
    ],
    [
        [[(0.1, 0.05), (0.07, 0.3), (0.08, 0.55)], [(0.08, 0.55), (0.35, 0.54), (0.68, 0.5)],
         [(0.6, 0.05), (0.57, 0.5), (0.55, 1)]],
        [[(0.45, 0), (0.2, 0.35), (0, 0.68)], [(0, 0.68), (0.3, 0.67), (0.7, 0.66)],
         [(0.47, 0), (0.47, 0.5), (0.46, 1)]],
    ],
    [
        [
            [(0.6, 0.02), (0.35, 0.03), (0.15, 0.04)],
            [(0.15, 0.04), (0.12, 0.25), (0.1, 0.44)],
            [(0.1, 0.44), (0.4, 0.38), (0.6, 0.62), (0.45, 0.94), (0.05, 0.94)],
        ],
        [[(0.65, 0), (0.3, 0.05), (0.15, 0.3), (0.4, 0.48), (0.5, 0.75), (0.3, 0.98), (0.02, 0.9)]],
    ],
    [
        [[(0.5, 0), (0.2, 0.3), (0.06, 0.7), (0.25, 0.98), (0.52, 0.82), (0.42, 0.56), (0.1, 0.68)]],
        [[(0.3, 0), (0.1, 0.4), (0.08, 0.8), (0.32, 1), (0.58, 0.8), (0.4, 0.6), (0.1, 0.78)]],
    ],
    [
        [[(0, 0.06), (0.3, 0.04), (0.62, 0.04)], [(0.62, 0.04), (0.45, 0.4), (0.25, 1)]],
        [[(0, 0.05), (0.3, 0.05), (0.62, 0.03)], [(0.62, 0.03), (0.4, 0.5), (0.28, 1)],
         [(0.18, 0.5), (0.35, 0.48), (0.55, 0.48)]],
    ],
    [
        [
            [(0.58, 0.12), (0.35, 0), (0.12, 0.14), (0.25, 0.4), (0.5, 0.62), (0.55, 0.85), (0.3, 1),
             (0.07, 0.85), (0.18, 0.6), (0.45, 0.36), (0.58, 0.12)],
        ],
        [
            [(0.33, 0), (0.12, 0.12), (0.15, 0.36), (0.35, 0.46), (0.55, 0.34), (0.55, 0.1), (0.33, 0)],
            [(0.35, 0.46), (0.1, 0.62), (0.1, 0.88), (0.35, 1), (0.6, 0.86), (0.58, 0.62), (0.35, 0.46)],
        ],
    ],
    [
        [[(0.55, 0.2), (0.32, 0.02), (0.08, 0.2), (0.2, 0.45), (0.5, 0.36), (0.56, 0.18)],
         [(0.56, 0.18), (0.55, 0.6), (0.5, 1)]],
        [[(0.55, 0.15), (0.3, 0.02), (0.1, 0.22), (0.25, 0.46), (0.54, 0.3), (0.56, 0.6), (0.42, 0.92),
          (0.1, 0.95)]],
    ],
)  # fmt: skip
"""For each digit two ways of writing it, each a list of strokes."""


def drawn_digits(count: int, seed: int) -> np.ndarray:
    """Draw digits as MNIST has them: white strokes on black, in a box of 20 x 20, centred by mass.

    The points of the strokes, slant, rotation, proportions, thickness and position vary at random. Image i
    shows the digit i modulo 10, and depends on (seed, i) alone.

    Source: LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section III A,
    for box and centre.

    Returns:
        uint8 (count, 28, 28).
    """
    return _stack([_digit(np.random.default_rng([seed, index]), index % 10) for index in range(count)])


def noise_images(count: int, seed: int) -> np.ndarray:
    """Draw noise of three kinds in turn: uniform, Gaussian, and smooth (blurred Gaussian).

    Returns:
        uint8 (count, 28, 28); image i depends on (seed, i) alone.
    """
    return _stack([_noise(np.random.default_rng([seed, index]), index % 3) for index in range(count)])


def _stack(images: list[np.ndarray]) -> np.ndarray:
    """Return images in [0, 1] as uint8 (N, 28, 28)."""
    return to_uint8(np.array(images).reshape(-1, IMAGE_SIZE, IMAGE_SIZE))


def _digit(generator: np.random.Generator, digit: int) -> np.ndarray:
    strokes = DIGITS[digit][generator.integers(len(DIGITS[digit]))]
    # one shift for equal points, so that strokes that meet still meet
    shift = {point: generator.normal(0, 0.025, 2) for stroke in strokes for point in stroke}
    moved = [np.array([point + shift[point] for point in stroke]) for stroke in strokes]
    points = np.concatenate([_curve(stroke) for stroke in moved]) @ _handwriting(generator)
    thickness = generator.uniform(1.6, 3.6)  # pixels
    points *= (BOX - thickness) / np.ptp(points, axis=0).max()
    points += (IMAGE_SIZE - 1) / 2 - points.mean(0) + generator.uniform(-0.5, 0.5, 2)
    return _ink(points, thickness)


def _curve(stroke: np.ndarray) -> np.ndarray:
    """Return points (M, 2), ``STEP`` apart, on the smooth curve through the points (P, 2) of a stroke."""
    length = np.append(0, np.linalg.norm(np.diff(stroke, axis=0), axis=1).cumsum())
    return CubicSpline(length, stroke)(np.linspace(0, length[-1], max(int(length[-1] / STEP), 2)))


def _handwriting(generator: np.random.Generator) -> np.ndarray:
    """Return a random matrix (2, 2) that stretches, slants and rotates row vectors (x, y)."""
    stretch = np.diag([generator.uniform(0.75, 1.35), 1])
    slant = np.array([[1, 0], [generator.normal(0, 0.22), 1]])
    angle = generator.normal(0, 0.1)
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return stretch @ slant @ rotation


def _ink(points: np.ndarray, thickness: float) -> np.ndarray:
    """Return how much of each pixel a pen covers that goes through the points (M, 2), in [0, 1], (28, 28)."""
    y, x = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE]
    distance = np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1]).min(-1)
    return np.clip(thickness / 2 + 0.5 - distance, 0, 1)


def _noise(generator: np.random.Generator, kind: int) -> np.ndarray:
    shape = (IMAGE_SIZE, IMAGE_SIZE)
    if kind == 0:
        return generator.random(shape)
    if kind == 1:
        return generator.normal(0.5, 0.25, shape)
    waves = gaussian_filter(generator.normal(size=shape), generator.uniform(1, 4), mode="wrap")
    return (waves - waves.min()) / np.ptp(waves)


OOD_IMAGES: dict[str, Callable[[int, int], np.ndarray]] = {
    "drawn digits": drawn_digits,
    "noise": noise_images,
}
"""Every kind of OOD images by name: a function of count and seed."""
