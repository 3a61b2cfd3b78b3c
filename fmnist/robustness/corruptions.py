"""The corruptions of Fashion-MNIST-C, each in five severities: images uint8 in, corrupted images uint8 out.

Names, definitions and severities follow the program that made the set (M. Weiss and P. Tonella, "Simple
Techniques Work Surprisingly Well for Neural Network Test Prioritization and Active Learning", ISSTA 2022,
arXiv 2205.00664, section 4). It takes its corruptions from MNIST-C (N. Mu and J. Gilmer, arXiv 1906.02337)
and most of their definitions from ImageNet-C (D. Hendrycks and T. Dietterich, arXiv 1903.12261, section 4).
The published set gives every image one corruption drawn at random; here each can be had on its own. The code
is written anew and works on all images at once.
"""

import colorsys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d, map_coordinates

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.errors import InputError
from fmnist.core.images import check_images

SEVERITIES = (1, 2, 3, 4, 5)
CENTRE = (IMAGE_SIZE - 1) / 2
GREY_WEIGHTS = (0.2125, 0.7154, 0.0721)  # of red, green and blue in luminance, ITU-R BT.709

Generators = list[np.random.Generator]
"""One for each image, so that an image's corruption does not depend on the other images."""


def corrupt(
    images: np.ndarray, name: str, severity: int, seed: int = 0, indices: np.ndarray | None = None
) -> np.ndarray:
    """Corrupt images; a pure function of its arguments, image by image.

    Args:
        images: uint8 (N, 28, 28).
        name: One of `CORRUPTIONS` or `FLIPS`.
        severity: 1 to 5; a corruption of one level is the same at each.
        seed: Seed of all random numbers.
        indices: int (N,), each image's place in its file, which chooses its random numbers, so that an
            image of a subset is corrupted as in the whole set; by default 0 to N - 1.

    Returns:
        uint8 (N, 28, 28), rounded down to whole numbers, as in the original.

    Raises:
        InputError: There is no such corruption or severity, or the images have another shape or type.
    """
    names = (*CORRUPTIONS, *FLIPS)
    if name not in names:
        raise InputError(f"corruption {name!r}: must be one of {', '.join(names)}")
    if severity not in SEVERITIES:
        raise InputError(f"severity {severity!r}: must be 1, 2, 3, 4 or 5")
    check_images(images)
    if name in FLIPS:
        return np.ascontiguousarray(FLIPS[name](images))
    _, function, levels = CORRUPTIONS[name]
    places = range(len(images)) if indices is None else indices.tolist()
    generators = [np.random.default_rng([seed, names.index(name), severity, place]) for place in places]
    pixels = images.astype(np.float64) / 255  # (N, 28, 28) in [0, 1]
    corrupted = function(pixels, levels[min(severity, len(levels)) - 1], generators)
    return (np.clip(corrupted, 0, 1) * 255).astype(np.uint8)


def severities_of(name: str) -> tuple[int, ...]:
    """Return the severities of a corruption or flip that differ: 1 to 5, or 1 alone."""
    return SEVERITIES[: len(CORRUPTIONS[name].levels)] if name in CORRUPTIONS else SEVERITIES[:1]


def shot_noise(pixels: np.ndarray, photons: float, generators: Generators) -> np.ndarray:
    """Replace each pixel by a Poisson count of the photons that reach it; white has ``photons``."""
    counts = [g.poisson(image * photons) for g, image in zip(generators, pixels, strict=True)]
    return np.array(counts) / photons


def impulse_noise(pixels: np.ndarray, amount: float, generators: Generators) -> np.ndarray:
    """Make a share ``amount`` of the pixels black or white ("salt and pepper"), half of them each."""
    hit, salt = np.stack([g.random((2, IMAGE_SIZE, IMAGE_SIZE)) for g in generators], axis=1)
    return np.where(hit < amount, salt < 0.5, pixels)


def glass_blur(pixels: np.ndarray, level: tuple[float, int, int], generators: Generators) -> np.ndarray:
    """Blur, swap pixels with neighbours at random, blur again.

    ``level`` is the standard deviation of the blur in pixels, the furthest swap in pixels, and the number of
    passes. The blur runs down the columns only, as in the original, which tells scikit-image that the image
    is in colour, so that the columns of a grey one are taken for its colours.
    """
    sigma, reach, passes = level
    blurred = _blur_columns(pixels, sigma)
    blurred = np.floor(np.clip(blurred, 0, 1) * 255) / 255
    line = range(IMAGE_SIZE - reach, reach, -1)
    steps = [(row, column) for _ in range(passes) for row in line for column in line]  # (S, 2)
    swapped = np.stack([g.random(len(steps)) < 0.5 for g in generators], axis=1)  # (S, N)
    offsets = np.stack([g.integers(-reach, reach, (len(steps), 2)) for g in generators], axis=2)  # (S, 2, N)
    images = np.arange(len(pixels))
    for (row, column), swap, (down, right) in zip(steps, swapped, offsets, strict=True):
        chosen = images[swap]
        here = chosen, row, column
        there = chosen, row + down[swap], column + right[swap]
        blurred[here], blurred[there] = blurred[there], blurred[here]
    return _blur_columns(blurred, sigma)


def _blur_columns(pixels: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter1d(pixels, sigma, axis=1, mode="nearest")


def motion_blur(pixels: np.ndarray, level: tuple[int, float], generators: Generators) -> np.ndarray:
    """Blur each image along a direction within 45 degrees of the horizontal, as ImageMagick does.

    Each pixel becomes the mean of the pixels on a line that begins at it, weighted by half a Gaussian;
    outside the image its edge is repeated. ``level`` is the radius (half the length of the line) and the
    standard deviation, in pixels.
    """
    radius, sigma = level
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    angles = np.radians([g.uniform(-45, 45) for g in generators])
    down, right = np.ceil(np.stack([np.sin(angles), np.cos(angles)])[..., None] * steps - 0.5).astype(int)
    places = np.arange(IMAGE_SIZE)
    images = np.arange(len(pixels))[:, None, None]
    blurred = np.zeros_like(pixels)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        rows = np.clip(places + down[:, step, None], 0, IMAGE_SIZE - 1)  # (N, 28)
        columns = np.clip(places + right[:, step, None], 0, IMAGE_SIZE - 1)
        blurred += weight * pixels[images, rows[:, :, None], columns[:, None, :]]
    return blurred


def shear(pixels: np.ndarray, angle: float, generators: Generators) -> np.ndarray:
    """Shear by ``angle`` radians to a random side, as scikit-image 0.19 does: lines keep their length."""
    angles = angle * _signs(generators)
    ones, zeros = np.ones_like(angles), np.zeros_like(angles)
    return _warp(pixels, np.array([[ones, -np.sin(angles)], [zeros, np.cos(angles)]]))


def scale(pixels: np.ndarray, factor: float, generators: Generators) -> np.ndarray:
    """Shrink to ``factor`` of the size, around the centre."""
    matrix = np.eye(2)[:, :, None] / factor
    return _warp(pixels, np.broadcast_to(matrix, (2, 2, len(pixels))))


def rotate(pixels: np.ndarray, angle: float, generators: Generators) -> np.ndarray:
    """Rotate by ``angle`` radians to a random side, around the centre."""
    angles = angle * _signs(generators)
    sine, cosine = np.sin(angles), np.cos(angles)
    return _warp(pixels, np.array([[cosine, -sine], [sine, cosine]]))


def _signs(generators: Generators) -> np.ndarray:
    """Return -1 or 1 for each image, (N,)."""
    return np.array([g.choice((-1, 1)) for g in generators])


def _warp(pixels: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Transform each image by its matrix, with bilinear interpolation; outside the image all is black.

    The matrices (2, 2, N) map (x, y) about the centre from the result to the source.
    """
    y, x = np.indices((IMAGE_SIZE, IMAGE_SIZE)).reshape(2, -1) - CENTRE
    source_x, source_y = np.einsum("ijn,jp->inp", matrices, np.stack([x, y])) + CENTRE  # (N, 784) each
    images = np.broadcast_to(np.arange(len(pixels))[:, None], source_x.shape)
    places = [images, source_y, source_x]
    return map_coordinates(pixels, places, order=1, mode="grid-constant").reshape(pixels.shape)


def brightness(pixels: np.ndarray, added: float, generators: Generators) -> np.ndarray:
    """Add ``added`` to every pixel."""
    return pixels + added


def contrast(pixels: np.ndarray, factor: float, generators: Generators) -> np.ndarray:
    """Multiply every pixel's difference from its image's mean by ``factor``."""
    mean = pixels.mean((1, 2), keepdims=True)
    return (pixels - mean) * factor + mean


def saturate(pixels: np.ndarray, level: tuple[float, float], generators: Generators) -> np.ndarray:
    """Multiply hue, saturation and value by a factor, add a constant to all three, and take the luminance.

    Hue and saturation of grey images are 0, so the constant is the new hue and saturation.
    """
    factor, added = level
    grey = np.dot(GREY_WEIGHTS, colorsys.hsv_to_rgb(added, added, 1))
    return np.clip(pixels * factor + added, 0, 1) * grey


def inverse(pixels: np.ndarray, level: None, generators: Generators) -> np.ndarray:
    """Return the negative images."""
    return 1 - pixels


class Corruption(NamedTuple):
    """A corruption, its family, and its level at each severity.

    Attributes:
        family: ``noise``, ``blur``, ``geometry`` or ``light``.
        function: Takes pixels float64 (N, 28, 28) in [0, 1], a level and the generators; returns pixels.
        levels: Of severities 1 to 5, or one for all of them.
    """

    family: str
    function: Callable[[np.ndarray, Any, Generators], np.ndarray]
    levels: tuple[Any, ...]


CORRUPTIONS = {
    "shot_noise": Corruption("noise", shot_noise, (60, 25, 12, 5, 3)),
    "impulse_noise": Corruption("noise", impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27)),
    "glass_blur": Corruption(
        "blur", glass_blur, ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))
    ),
    "motion_blur": Corruption("blur", motion_blur, ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))),
    "shear": Corruption("geometry", shear, (0.2, 0.4, 0.6, 0.8, 1.0)),
    "scale": Corruption("geometry", scale, (0.9, 0.8, 0.7, 0.6, 0.5)),
    "rotate": Corruption("geometry", rotate, (0.2, 0.4, 0.6, 0.8, 1.0)),
    "brightness": Corruption("light", brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": Corruption("light", contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),
    "saturate": Corruption("light", saturate, ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))),
    "inverse": Corruption("light", inverse, (None,)),
}
"""Eleven of the fifteen of Fashion-MNIST-C; the position of each is part of its seed, so append new ones."""
FAMILIES = {
    family: [name for name, corruption in CORRUPTIONS.items() if corruption.family == family]
    for family in dict.fromkeys(corruption.family for corruption in CORRUPTIONS.values())
}
"""The names of the corruptions of each family."""
FLIPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "flip_sides": lambda images: images[:, :, ::-1],
    "flip_up_down": lambda images: images[:, ::-1],
    "turn_left": lambda images: np.rot90(images, 1, (1, 2)),
    "turn_right": lambda images: np.rot90(images, 3, (1, 2)),
}
"""The other four: mirrored, upside down, and quarter turns (which the original's program
names flip_top_bottom and flip_left_right). They are reported apart, because training may flip."""
