"""What lies behind a garment: five kinds of background, drawn at random."""

import colorsys
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

Shape = tuple[int, int]  # height and width, pixels
Rng = np.random.Generator


def draw(name: str, shape: Shape, rng: Rng) -> np.ndarray:
    """Draw a background, float32 (H, W, 3) in [0, 1].

    Args:
        name: ``plain``, ``gradient``, ``noisy``, ``striped`` or ``cluttered``.
        shape: Height and width in pixels.
        rng: Chooses everything else.
    """
    return _KINDS[name](shape, rng)


def plain(shape: Shape, rng: Rng) -> np.ndarray:
    """One colour, light or dark, in nearly even light."""
    return _lit(np.tile(colour(rng), (*shape, 1)), rng, strength=0.04)


def gradient(shape: Shape, rng: Rng) -> np.ndarray:
    """One colour that goes over into another, along a line or away from a point."""
    y, x = _grid(shape)
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        ramp = np.cos(angle) * x + np.sin(angle) * y
    else:
        ramp = np.hypot(x - rng.uniform(-1, 1), y - rng.uniform(-1, 1))
    ramp = (ramp - ramp.min()) / np.ptp(ramp)
    return _between(colour(rng), colour(rng), ramp)


def noisy(shape: Shape, rng: Rng) -> np.ndarray:
    """A rough surface, such as gravel, carpet or bark: noise of several grain sizes, between two colours."""
    field = sum(
        weight * _noise(shape, grain, rng)
        for grain, weight in zip((1, 2, 5, 16), rng.dirichlet(np.ones(4)), strict=True)
    )
    ramp = np.clip(0.5 + rng.uniform(0.5, 1.1) * field, 0, 1)
    return _between(colour(rng), colour(rng), ramp)


def striped(shape: Shape, rng: Rng) -> np.ndarray:
    """Stripes of two or three colours at any angle, or checks."""
    y, x = _grid(shape)
    period = rng.uniform(0.06, 0.35)
    angle, phases = rng.uniform(0, np.pi), rng.random(2)
    across = (np.cos(angle) * x + np.sin(angle) * y) / period + phases[0]
    colours = np.stack([colour(rng) for _ in range(rng.integers(2, 4))])
    kept = colours[(across % len(colours)).astype(int)]
    if rng.random() < 0.35:  # checks: the other way's stripes darken
        along = (np.cos(angle) * y - np.sin(angle) * x) / period + phases[1]
        kept = kept * np.where(along % 2 < 1, 1, rng.uniform(0.5, 0.85)).astype(np.float32)[:, :, None]
    return _lit(kept, rng, strength=0.1)


def cluttered(shape: Shape, rng: Rng) -> np.ndarray:
    """A room: wall and floor, and many overlapping things of many colours, some of them patterned."""
    height, width = shape
    down = np.linspace(0, 1, height)[:, None] * np.ones(width)
    wall = _between(colour(rng), colour(rng), down)
    picture = Image.fromarray((wall * 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    horizon = rng.uniform(0.5, 0.95) * height
    slope = rng.uniform(-0.06, 0.06) * height
    pen.polygon([(0, horizon), (width, horizon + slope), (width, height), (0, height)], fill=_ink(rng))
    for _ in range(rng.integers(25, 60)):
        _thing(pen, shape, rng)
    things = np.asarray(picture, np.float32) / 255
    rough = rng.uniform(0, 0.12) * _noise(shape, 2, rng) + rng.uniform(0, 0.12) * _noise(shape, 8, rng)
    return _lit(np.clip(things + rough[:, :, None], 0, 1), rng, strength=0.15)


def _thing(pen: ImageDraw.ImageDraw, shape: Shape, rng: Rng) -> None:
    """Draw an ellipse, a box, a line, a polygon, or a bar of stripes."""
    height, width = shape
    size = min(height, width) * np.exp(rng.uniform(np.log(0.08), np.log(0.5)))
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    wide, high = size * rng.uniform(0.4, 1, 2)
    box = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
    ink = _ink(rng)
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
            count, other = int(rng.integers(2, 7)), _ink(rng)
            for place in range(count):
                left = box[0] + wide * place / count
                fill = ink if place % 2 else other
                pen.rectangle((left, box[1], left + wide / count, box[3]), fill=fill)


def colour(rng: Rng) -> np.ndarray:
    """Return any colour, float32 (3,) in [0, 1]; greyish ones and light ones are more likely, as in rooms."""
    hue, saturation, value = rng.random(), rng.random() ** 1.5, rng.uniform(0.1, 1) ** 0.8
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def _ink(rng: Rng) -> tuple[int, int, int]:
    red, green, blue = (255 * colour(rng)).astype(int).tolist()
    return red, green, blue


def _grid(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Return y (H, 1) and x (1, W), float32, from -1 to 1 along the shorter side."""
    shorter = min(shape)
    y, x = ((np.arange(side, dtype=np.float32) * 2 - side) / shorter for side in shape)
    return y[:, None], x[None]


def _between(one: np.ndarray, other: np.ndarray, ramp: np.ndarray) -> np.ndarray:
    """Mix two colours (3,) by a ramp (H, W) in [0, 1]: float32 (H, W, 3)."""
    return (one + ramp[:, :, None] * (other - one)).astype(np.float32)


def _noise(shape: Shape, grain: int, rng: Rng) -> np.ndarray:
    """Return smooth noise, float32 (H, W), of standard deviation about 0.35 grains ``grain`` pixels wide."""
    height, width = (side // grain + 2 for side in shape)
    field = Image.fromarray(0.35 * rng.standard_normal((height, width), dtype=np.float32))
    return np.asarray(field.resize(shape[::-1], Image.Resampling.BICUBIC))


def _lit(scene: np.ndarray, rng: Rng, strength: float) -> np.ndarray:
    """Let light fall off towards one side."""
    y, x = _grid(scene.shape[:2])
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + rng.uniform(0, strength) * (np.cos(angle) * x + np.sin(angle) * y)
    return np.clip(scene * light[:, :, None], 0, 1).astype(np.float32)


_KINDS: dict[str, Callable[[Shape, Rng], np.ndarray]] = {
    "plain": plain,
    "gradient": gradient,
    "noisy": noisy,
    "striped": striped,
    "cluttered": cluttered,
}
