"""Random drawn textures, for the backgrounds of training images."""

import numpy as np
from numpy.random import Generator
from scipy import ndimage

TEXTURE_SIZE = 56  # height and width, pixels
ROWS, COLUMNS = np.mgrid[:TEXTURE_SIZE, :TEXTURE_SIZE]


def draw_textures(count: int, generator: Generator) -> np.ndarray:
    """Draw ramps, stripes, checks and clouds, and for every other texture overlapping shapes.

    Returns:
        float32 (count, 56, 56), each with the minimum 0 and the maximum 1.
    """
    kinds = (shapes, ramp, shapes, stripes, shapes, clouds, shapes, checks)
    textures = np.stack([kinds[i % len(kinds)](generator) for i in range(count)])
    low, high = textures.min((1, 2), keepdims=True), textures.max((1, 2), keepdims=True)
    return ((textures - low) / (high - low)).astype(np.float32)


def draw_smooth_noise(size: int, scale: float, generator: Generator) -> np.ndarray:
    """Draw noise smoothed by a Gaussian of ``scale`` pixels; float32 (1, size, size) of variance 1."""
    noise = ndimage.gaussian_filter(
        generator.standard_normal((1, size, size)), (0, scale, scale), mode="wrap"
    )
    return (noise / noise.std()).astype(np.float32)


def ramp(generator: Generator) -> np.ndarray:
    """Draw grey levels that increase in one direction."""
    return _along(generator.uniform(0, 2 * np.pi))


def stripes(generator: Generator) -> np.ndarray:
    """Draw stripes 4 to 20 pixels apart, soft or hard."""
    period, phase = generator.uniform(4, 20), generator.uniform(0, 2 * np.pi)
    wave = np.sin(2 * np.pi * _along(generator.uniform(0, np.pi)) / period + phase)
    return np.clip(generator.choice([1, 8]) * wave, -1, 1)


def checks(generator: Generator) -> np.ndarray:
    """Draw the product of two stripe patterns."""
    return stripes(generator) * stripes(generator)


def clouds(generator: Generator) -> np.ndarray:
    """Draw noise that is smooth over 0.7 to 6 pixels."""
    noise = generator.standard_normal((TEXTURE_SIZE, TEXTURE_SIZE))
    return ndimage.gaussian_filter(noise, np.exp(generator.uniform(np.log(0.7), np.log(6))), mode="wrap")


def shapes(generator: Generator) -> np.ndarray:
    """Draw 5 to 40 overlapping rectangles and ellipses of random rotation."""
    canvas = np.full((TEXTURE_SIZE, TEXTURE_SIZE), generator.random())
    for _ in range(generator.integers(5, 41)):
        angle, centre = generator.uniform(0, np.pi), generator.uniform(0, TEXTURE_SIZE, 2)
        length, width = generator.uniform(1, 12, 2)
        u, v = np.abs(_along(angle, centre)) / length, np.abs(_along(angle + np.pi / 2, centre)) / width
        inside = np.maximum(u, v) < 1 if generator.random() < 0.5 else u**2 + v**2 < 1
        canvas[inside] = generator.random()
    return ndimage.gaussian_filter(canvas, 0.5)


def _along(angle: float, origin: np.ndarray | tuple[float, float] = (0, 0)) -> np.ndarray:
    """Return each pixel's distance from ``origin``, (row, column), along a direction, in pixels."""
    return np.sin(angle) * (ROWS - origin[0]) + np.cos(angle) * (COLUMNS - origin[1])
