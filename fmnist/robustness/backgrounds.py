"""Five kinds of random backgrounds for photographs of garments.

Each function takes height and width in pixels and a random generator, and returns float32 (H, W, 3), RGB in
[0, 1].
"""

import colorsys
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from fmnist.core.images import to_float

Shape = tuple[int, int]  # height and width, pixels
Rng = np.random.Generator


def plain(shape: Shape, rng: Rng) -> np.ndarray:
    """Draw one colour, light or dark, in nearly even light."""
    return _add_light(np.tile(_random_colour(rng), (*shape, 1)), rng, strength=0.04)


def gradient(shape: Shape, rng: Rng) -> np.ndarray:
    """Draw a smooth change from one colour to another, along a line or away from a point."""
    y, x = _grid(shape)
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        ramp = np.cos(angle) * x + np.sin(angle) * y
    else:
        ramp = np.hypot(x - rng.uniform(-1, 1), y - rng.uniform(-1, 1))
    ramp = (ramp - ramp.min()) / np.ptp(ramp)
    return _mix(_random_colour(rng), _random_colour(rng), ramp)


def noisy(shape: Shape, rng: Rng) -> np.ndarray:
    """Draw a rough surface, such as gravel or carpet: noise of several grain sizes, between two colours."""
    field = sum(
        weight * _noise(shape, grain, rng)
        for grain, weight in zip((1, 2, 5, 16), rng.dirichlet(np.ones(4)), strict=True)
    )
    ramp = np.clip(0.5 + rng.uniform(0.5, 1.1) * field, 0, 1)
    return _mix(_random_colour(rng), _random_colour(rng), ramp)


def striped(shape: Shape, rng: Rng) -> np.ndarray:
    """Draw stripes of two or three colours at any angle, or checks."""
    y, x = _grid(shape)
    period = rng.uniform(0.06, 0.35)
    angle, phases = rng.uniform(0, np.pi), rng.random(2)
    across = (np.cos(angle) * x + np.sin(angle) * y) / period + phases[0]
    colours = np.stack([_random_colour(rng) for _ in range(rng.integers(2, 4))])
    pattern = colours[(across % len(colours)).astype(int)]
    if rng.random() < 0.35:  # checks: darker stripes across the first ones
        along = (np.cos(angle) * y - np.sin(angle) * x) / period + phases[1]
        pattern = pattern * np.where(along % 2 < 1, 1, rng.uniform(0.5, 0.85)).astype(np.float32)[:, :, None]
    return _add_light(pattern, rng, strength=0.1)


def cluttered(shape: Shape, rng: Rng) -> np.ndarray:
    """Draw wall and floor, and 25 to 59 overlapping objects of many colours, some of them striped."""
    height, width = shape
    down = np.linspace(0, 1, height)[:, None] * np.ones(width)
    wall = _mix(_random_colour(rng), _random_colour(rng), down)
    picture = Image.fromarray((wall * 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    horizon = rng.uniform(0.5, 0.95) * height
    slope = rng.uniform(-0.06, 0.06) * height
    pen.polygon([(0, horizon), (width, horizon + slope), (width, height), (0, height)], fill=_rgb(rng))
    for _ in range(rng.integers(25, 60)):
        _draw_object(pen, shape, rng)
    scene = to_float(np.asarray(picture))
    rough = rng.uniform(0, 0.12) * _noise(shape, 2, rng) + rng.uniform(0, 0.12) * _noise(shape, 8, rng)
    return _add_light(np.clip(scene + rough[:, :, None], 0, 1), rng, strength=0.15)


def _draw_object(pen: ImageDraw.ImageDraw, shape: Shape, rng: Rng) -> None:
    """Draw an ellipse, a rectangle, a line, a polygon, or a striped rectangle."""
    height, width = shape
    size = min(height, width) * np.exp(rng.uniform(np.log(0.08), np.log(0.5)))
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    wide, high = size * rng.uniform(0.4, 1, 2)
    box = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
    ink = _rgb(rng)
    match rng.integers(5):
        case 0:
            pen.ellipse(box, fill=ink)
        case 1:
            pen.rectangle(box, fill=ink)
        case 2:
            ends = rng.uniform(-0.8, 0.8, 4) * size
            pen.line((x + ends[0], y + ends[1], x + ends[2], y + ends[3]), fill=ink, width=int(1 + size / 12))
        case 3:
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8)))
            radii = size * rng.uniform(0.25, 0.6, len(angles))
            corners = zip(x + radii * np.cos(angles), y + radii * np.sin(angles), strict=True)
            pen.polygon([(float(a), float(b)) for a, b in corners], fill=ink)
        case _:
            count, other = int(rng.integers(2, 7)), _rgb(rng)
            for stripe in range(count):
                left = box[0] + wide * stripe / count
                fill = ink if stripe % 2 else other
                pen.rectangle((left, box[1], left + wide / count, box[3]), fill=fill)


def _random_colour(rng: Rng) -> np.ndarray:
    """Return a colour, float32 (3,) in [0, 1]; greyish and light ones are more likely, as indoors."""
    hue, saturation, value = rng.random(), rng.random() ** 1.5, rng.uniform(0.1, 1) ** 0.8
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def _rgb(rng: Rng) -> tuple[int, int, int]:
    """Return a random colour as Pillow takes it, 0 to 255."""
    red, green, blue = (255 * _random_colour(rng)).astype(int).tolist()
    return red, green, blue


def _grid(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Return y (H, 1) and x (1, W), float32, from -1 to 1 along the shorter side."""
    shorter = min(shape)
    y, x = ((np.arange(side, dtype=np.float32) * 2 - side) / shorter for side in shape)
    return y[:, None], x[None]


def _mix(first: np.ndarray, second: np.ndarray, ramp: np.ndarray) -> np.ndarray:
    """Mix two colours (3,) by a ramp (H, W) from 0, the first, to 1, the second: float32 (H, W, 3)."""
    return (first + ramp[:, :, None] * (second - first)).astype(np.float32)


def _noise(shape: Shape, grain: int, rng: Rng) -> np.ndarray:
    """Return noise of grains ``grain`` pixels wide, of standard deviation about 0.35, float32 (H, W)."""
    height, width = (side // grain + 2 for side in shape)
    field = Image.fromarray(0.35 * rng.standard_normal((height, width), dtype=np.float32))
    return np.asarray(field.resize(shape[::-1], Image.Resampling.BICUBIC))


def _add_light(scene: np.ndarray, rng: Rng, strength: float) -> np.ndarray:
    """Make a scene up to ``strength`` brighter towards one side and darker towards the other."""
    y, x = _grid(scene.shape[:2])
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, strength) * (np.cos(angle) * x + np.sin(angle) * y)
    return np.clip(scene * light[:, :, None], 0, 1).astype(np.float32)


BACKGROUNDS: dict[str, Callable[[Shape, Rng], np.ndarray]] = {
    "plain": plain,
    "gradient": gradient,
    "noisy": noisy,
    "striped": striped,
    "cluttered": cluttered,
}
"""Every background by name. Add new ones at the end: the position is part of a photograph's seed."""
