"""The corruptions of Fashion-MNIST-C: images uint8 in, corrupted images uint8 out.

Names, definitions and severities follow the program that made the set (M. Weiss and P. Tonella, "Simple
Techniques Work Surprisingly Well for Neural Network Test Prioritization and Active Learning", ISSTA 2022,
arXiv 2205.00664, section 4), which takes its corruptions from MNIST-C (N. Mu and J. Gilmer, arXiv 1906.02337)
and those, most of them, from ImageNet-C (D. Hendrycks and T. Dietterich, arXiv 1903.12261, section 4). Their
set gives every image one corruption drawn at random; here each can be had apart. The code is written anew:
it works on all images at once.
"""

import colorsys
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from fmnist.core.errors import InputError

SIZE = 28  # height and width of an image, pixels
CENTRE = (SIZE - 1) / 2
SEVERITIES = (1, 2, 3, 4, 5)
GREY_WEIGHTS = (0.2125, 0.7154, 0.0721)  # of red, green and blue in luminance, ITU-R BT.709

Generators = list[np.random.Generator]
"""One of its own for each image, so that an image's corruption does not depend on its neighbours."""


def corrupt(
    images: np.ndarray, name: str, severity: int, seed: int = 0, indices: np.ndarray | None = None
) -> np.ndarray:
    """Corrupt images; a pure function of its arguments, image by image.

    Args:
        images: uint8 (N, 28, 28).
        name: One of `CORRUPTIONS` or `FLIPS`.
        severity: 1 to 5. ``inverse`` and the flips have one level in the original, and do the same at all.
        seed: Seed of all random numbers.
        indices: int (N,), each image's place in its file, which chooses its random numbers, so that a
            part of a set is corrupted as in the whole; by default 0 to N - 1.

    Returns:
        uint8 (N, 28, 28), cut and not rounded to whole numbers, as in the original.

    Raises:
        InputError: There is no such corruption or severity, or the images have another shape or type.
    """
    if name not in _ALL:
        raise InputError(f"corruption {name!r}: must be one of {', '.join(_ALL)}")
    if severity not in SEVERITIES:
        raise InputError(f"severity {severity!r}: must be 1, 2, 3, 4 or 5")
    if images.dtype != np.uint8 or images.shape[1:] != (SIZE, SIZE):
        raise InputError(f"images {images.dtype} {images.shape}: must be uint8 (N, {SIZE}, {SIZE})")
    if name in _FLIPS:
        return np.ascontiguousarray(_FLIPS[name](images))
    corruption, levels = _CORRUPTIONS[name]
    places = range(len(images)) if indices is None else indices.tolist()
    key = list(_ALL).index(name)
    generators = [np.random.default_rng([seed, key, severity, place]) for place in places]
    pixels = images.astype(np.float64) / 255  # (N, 28, 28) in [0, 1]
    corrupted = corruption(pixels, levels[severity - 1], generators) if len(images) else pixels
    return (np.clip(corrupted, 0, 1) * 255).astype(np.uint8)


def shot_noise(pixels: np.ndarray, photons: float, generators: Generators) -> np.ndarray:
    """Replace each pixel by a Poisson count of the photons that reach it; white has ``photons``."""
    counts = [g.poisson(image * photons) for g, image in zip(generators, pixels, strict=True)]
    return np.array(counts) / photons


def impulse_noise(pixels: np.ndarray, amount: float, generators: Generators) -> np.ndarray:
    """Make a share ``amount`` of the pixels black or white ("salt and pepper"), half of them each."""
    hit, salt = np.stack([g.random((2, SIZE, SIZE)) for g in generators], axis=1)
    return np.where(hit < amount, salt < 0.5, pixels)


def glass_blur(pixels: np.ndarray, level: tuple[float, int, int], generators: Generators) -> np.ndarray:
    """Blur, swap pixels with neighbours at random, blur again.

    The blur runs down the columns only: the original asks scikit-image for a blur of a colour picture, and
    of a grey one it then takes the columns for colours.

    Args:
        pixels: float64 (N, 28, 28).
        level: Standard deviation of the blur in pixels, furthest swap in pixels, passes.
        generators: One an image.
    """
    sigma, reach, passes = level
    blurred = _blur_columns(pixels, sigma)
    blurred = np.floor(np.clip(blurred, 0, 1) * 255) / 255
    line = range(SIZE - reach, reach, -1)
    walk = [(row, column) for _ in range(passes) for row in line for column in line]
    swaps = np.stack([g.random(len(walk)) < 0.5 for g in generators], axis=1)  # (steps, N)
    moves = np.stack([g.integers(-reach, reach, (len(walk), 2)) for g in generators], axis=2)  # (steps, 2, N)
    images = np.arange(len(pixels))
    for (row, column), swap, (down, right) in zip(walk, swaps, moves, strict=True):
        chosen = images[swap]
        other = chosen, row + down[swap], column + right[swap]
        here = chosen, row, column
        blurred[here], blurred[other] = blurred[other], blurred[here]
    return _blur_columns(blurred, sigma)


def _blur_columns(pixels: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter1d(pixels, sigma, axis=1, mode="nearest")


def motion_blur(pixels: np.ndarray, level: tuple[int, float], generators: Generators) -> np.ndarray:
    """Smear each image along a direction within 45 degrees of the horizontal, as ImageMagick does.

    Each pixel becomes a mean of those in a line from it, of one side only, weighted by half a Gaussian;
    beyond the image lies its edge, repeated.

    Args:
        pixels: float64 (N, 28, 28).
        level: Radius (half the length of the line) and standard deviation, in pixels.
        generators: One an image, for its angle.
    """
    radius, sigma = level
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    angles = np.radians([g.uniform(-45, 45) for g in generators])
    down, right = np.ceil(np.stack([np.sin(angles), np.cos(angles)])[..., None] * steps - 0.5).astype(int)
    places = np.arange(SIZE)
    images = np.arange(len(pixels))[:, None, None]
    smeared = np.zeros_like(pixels)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        rows = np.clip(places + down[:, step, None], 0, SIZE - 1)  # (N, 28)
        columns = np.clip(places + right[:, step, None], 0, SIZE - 1)
        smeared += weight * pixels[images, rows[:, :, None], columns[:, None, :]]
    return smeared


def shear(pixels: np.ndarray, angle: float, generators: Generators) -> np.ndarray:
    """Shear by ``angle`` radians to a random side as scikit-image 0.19 does: lines keep their length."""
    angles = angle * _signs(generators)
    ones, zeros = np.ones_like(angles), np.zeros_like(angles)
    return _warp(pixels, np.array([[ones, -np.sin(angles)], [zeros, np.cos(angles)]]))


def scale(pixels: np.ndarray, factor: float, generators: Generators) -> np.ndarray:
    """Shrink to ``factor`` of the size, around the centre."""
    matrix = np.eye(2)[:, :, None] / factor
    return _warp(pixels, np.broadcast_to(matrix, (2, 2, len(pixels))))


def rotate(pixels: np.ndarray, angle: float, generators: Generators) -> np.ndarray:
    """Turn by ``angle`` radians to a random side, around the centre."""
    angles = angle * _signs(generators)
    sine, cosine = np.sin(angles), np.cos(angles)
    return _warp(pixels, np.array([[cosine, -sine], [sine, cosine]]))


def _signs(generators: Generators) -> np.ndarray:
    return np.array([g.choice((-1, 1)) for g in generators])


def _warp(pixels: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Look each pixel up, bilinearly, where its image's matrix sends it; outside is black.

    Args:
        pixels: float64 (N, 28, 28).
        matrices: float64 (2, 2, N), of (x, y) columns about the centre, from the result to the source.
    """
    y, x = np.indices((SIZE, SIZE)).reshape(2, -1) - CENTRE
    moved = np.einsum("ijn,jp->inp", matrices, np.stack([x, y])) + CENTRE  # (2, N, 784)
    whole = np.floor(moved)
    part = moved - whole
    padded = np.pad(pixels, ((0, 0), (2, 2), (2, 2)))  # a pixel beyond lies between two black ones
    left, top = np.clip(whole, -2, SIZE).astype(int) + 2
    images = np.arange(len(pixels))[:, None]
    warped = np.zeros(left.shape)
    for right in (0, 1):
        for below in (0, 1):
            weight = np.abs(1 - right - part[0]) * np.abs(1 - below - part[1])
            warped += weight * padded[images, top + below, left + right]
    return warped.reshape(pixels.shape)


def brightness(pixels: np.ndarray, added: float, generators: Generators) -> np.ndarray:
    """Add to every pixel's value."""
    return pixels + added


def contrast(pixels: np.ndarray, factor: float, generators: Generators) -> np.ndarray:
    """Bring every pixel nearer to its image's mean."""
    mean = pixels.mean((1, 2), keepdims=True)
    return (pixels - mean) * factor + mean


def saturate(pixels: np.ndarray, level: tuple[float, float], generators: Generators) -> np.ndarray:
    """Multiply hue, saturation and value and add to all three, then take the grey of that colour.

    Args:
        pixels: float64 (N, 28, 28), greys: hue and saturation 0.
        level: Factor and what is added, which is hence the new hue and saturation.
        generators: Not needed.
    """
    factor, added = level
    grey = np.dot(GREY_WEIGHTS, colorsys.hsv_to_rgb(added, added, 1))
    return np.clip(pixels * factor + added, 0, 1) * grey


def inverse(pixels: np.ndarray, level: None, generators: Generators) -> np.ndarray:
    """Return the negative."""
    return 1 - pixels


_CORRUPTIONS: dict[str, tuple[Callable[[np.ndarray, Any, Generators], np.ndarray], tuple[Any, ...]]] = {
    "shot_noise": (shot_noise, (60, 25, 12, 5, 3)),
    "impulse_noise": (impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27)),
    "glass_blur": (glass_blur, ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))),
    "motion_blur": (motion_blur, ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))),
    "shear": (shear, (0.2, 0.4, 0.6, 0.8, 1.0)),
    "scale": (scale, (0.9, 0.8, 0.7, 0.6, 0.5)),
    "rotate": (rotate, (0.2, 0.4, 0.6, 0.8, 1.0)),
    "brightness": (brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": (contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),
    "saturate": (saturate, ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))),
    "inverse": (inverse, (None,) * 5),
}
_FLIPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "flip_sides": lambda images: images[:, :, ::-1],
    "flip_up_down": lambda images: images[:, ::-1],
    "turn_left": lambda images: np.rot90(images, 1, (1, 2)),
    "turn_right": lambda images: np.rot90(images, 3, (1, 2)),
}
_ALL = _CORRUPTIONS | _FLIPS

CORRUPTIONS: tuple[str, ...] = tuple(_CORRUPTIONS)
"""The eleven that a training that flips has never seen; with `FLIPS`, the fifteen of Fashion-MNIST-C."""
FLIPS: tuple[str, ...] = tuple(_FLIPS)
"""Mirrored, upside down, and quarter turns (which the original's program names flip_top_bottom and
flip_left_right): reported apart, because training may flip."""
ONE_LEVEL = ("inverse", *FLIPS)
"""What does the same at all severities."""
