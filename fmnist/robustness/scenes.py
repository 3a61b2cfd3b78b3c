"""Garments as a camera might see them: 28 x 28 images rendered in colour on backgrounds, 200 to 800 pixels.

A rendering is a pure function of the image and a seed. The same seed gives the same garment, of the same
colour, size and place, on each of the `BACKGROUNDS`. Nothing here looks at a class or at a model.
"""

import colorsys

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from fmnist.core.errors import InputError
from fmnist.robustness import backgrounds

SIZE = 28
BACKGROUNDS = ("plain", "gradient", "noisy", "striped", "cluttered")
SIDES = (200, 800)  # shortest and longest side of a photograph, pixels
OPENING = 8  # pixels: a larger hole in a garment is a handle's or a strap's, and the background shows
SPECK = 3  # pixels: smaller parts are dirt
COVERED = 0.8  # a pixel on the outline this much as dark as the darkest beside it is wholly cloth
CLOTH = 4  # grey level from which a pixel can be cloth: whitest cloth is hardly darker than white paper
CONTRAST = 0.22  # least distance between the mean colours of garment and background, RGB in [0, 1]
FRAME = 2  # pixels put around an image, so that its edges can be smoothed
SHARPNESS = 2.5  # of the outline; 1 is as soft as a pixel of the data set


def photograph(image: np.ndarray, background: str, seed: int) -> np.ndarray:
    """Render a garment in a random colour before a background.

    Args:
        image: uint8 (28, 28), bright where the cloth was dark, as in the data set.
        background: One of `BACKGROUNDS`.
        seed: Chooses size, place, colours, light and background.

    Returns:
        uint8 (H, W, 3), RGB, H and W between 200 and 800.

    Raises:
        InputError: There is no such background, or the image has another shape or type.
    """
    if background not in BACKGROUNDS:
        raise InputError(f"background {background!r}: must be one of {', '.join(BACKGROUNDS)}")
    _check(image)
    generator = np.random.default_rng([seed, 0])
    height, width, side, top, left = _layout(generator, smallest=0.55)
    shade, cover = (_upscaled(part, side) for part in _cut_out(image))
    garment, mask = _dyed(shade, generator), np.clip((cover - 0.5) * SHARPNESS + 0.5, 0, 1)
    shadow = generator.uniform(0, 0.35), 0.03 * side * generator.uniform(-1, 1, 2)
    softness, noise = generator.uniform(0.3, 0.9), generator.uniform(1, 5) / 255

    mean = garment[mask > 0.5].mean(0) if mask.max() > 0.5 else garment.mean((0, 1))
    others = np.random.default_rng([seed, 1, BACKGROUNDS.index(background)])
    scene = _contrasting(background, (height, width), mean, others)
    covered = np.zeros((height, width), np.float32)
    covered[top : top + side, left : left + side] = mask
    dark = ndimage.shift(ndimage.gaussian_filter(covered[::4, ::4], 0.008 * side), shadow[1] / 4, order=1)
    scene *= 1 - shadow[0] * _resized(dark, (height, width))[:, :, None]
    window = scene[top : top + side, left : left + side]
    window += mask[:, :, None] * (garment - window)
    return _exposed(scene, softness, noise, others)


def product_photograph(image: np.ndarray, seed: int) -> np.ndarray:
    """Render a garment dark on a light plain background: the negative of its image, larger, with margins.

    Args:
        image: uint8 (28, 28), bright where the cloth was dark, as in the data set.
        seed: Chooses size, place, the tint of the paper and the noise.

    Returns:
        uint8 (H, W, 3), RGB, H and W between 200 and 800.

    Raises:
        InputError: The image has another shape or type.
    """
    _check(image)
    generator = np.random.default_rng([seed, 2])
    height, width, side, top, left = _layout(generator, smallest=0.6)
    tint = generator.random(), generator.uniform(0, 0.08), generator.uniform(0.9, 1)
    paper = np.array(colorsys.hsv_to_rgb(*tint), np.float32)
    scene = np.tile(paper, (height, width, 1))
    scene[top : top + side, left : left + side] *= 1 - _upscaled(image / 255, side)[:, :, None]
    return _exposed(scene, generator.uniform(0.3, 0.8), generator.uniform(0, 2) / 255, generator)


def silhouette(image: np.ndarray) -> np.ndarray:
    """Return where the garment is, bool (28, 28): its pixels and small holes in it, without specks.

    White cloth is as black as the background in the data set, so holes of up to `OPENING` pixels are cloth.
    """
    cloth = np.pad(image >= max(CLOTH, image.max() / 20), 1)
    filled = cloth | _small(~cloth, OPENING)
    return (filled & ~_small(filled, SPECK, np.ones((3, 3))))[1:-1, 1:-1]


def _small(mask: np.ndarray, largest: int, structure: np.ndarray | None = None) -> np.ndarray:
    """Return the connected parts of a mask that have at most ``largest`` pixels."""
    parts, _ = ndimage.label(mask, structure)
    return mask & (np.bincount(parts.ravel())[parts] <= largest)


def _check(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.shape != (SIZE, SIZE):
        raise InputError(f"image {image.dtype} {image.shape}: must be uint8 ({SIZE}, {SIZE})")


def _layout(generator: np.random.Generator, smallest: float) -> tuple[int, int, int, int, int]:
    """Return height and width of the photograph, and side, top and left of the garment's square in it."""
    low, high = SIDES
    height = int(generator.integers(low, high + 1))
    width = int(np.clip(height * generator.uniform(0.7, 1.35), low, high))
    side = int(min(height, width) * generator.uniform(smallest, 0.92))
    margin = int(0.03 * min(height, width))
    top, left = (
        int(generator.integers(margin, max(length - side - margin, margin) + 1)) for length in (height, width)
    )
    return height, width, side, top, left


def _cut_out(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tell how dark the cloth is from how much of a pixel it covers.

    A pixel on the outline is part background, hence fainter than the cloth beside it: it takes that cloth's
    shade, and covers as much of its pixel as it is fainter. The shade goes on outside, so that an enlarged
    garment has no light rim.

    Returns:
        Shade and cover, both float64 (28, 28) in [0, 1].
    """
    pixels = image / 255
    garment = silhouette(image)
    inside = ndimage.binary_erosion(garment, border_value=1)
    beside = ndimage.maximum_filter(pixels * garment, 3)
    cover = np.where(inside, 1, np.clip(pixels / np.maximum(COVERED * beside, 1e-6), 0, 1)) * garment
    shade = np.where(inside, pixels, np.maximum(pixels, COVERED * beside))
    _, (row, column) = ndimage.distance_transform_edt(cover < 0.5, return_indices=True)
    return shade[row, column], cover


def _upscaled(pixels: np.ndarray, side: int) -> np.ndarray:
    """Return (28, 28) smoothly enlarged to float32 (side, side), in [0, 1]."""
    framed = Image.fromarray(np.pad(pixels, FRAME).astype(np.float32))
    box = (FRAME, FRAME, FRAME + SIZE, FRAME + SIZE)
    return np.clip(np.asarray(framed.resize((side, side), Image.Resampling.BICUBIC, box=box)), 0, 1)


def _dyed(cloth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return cloth of a random colour, float32 (S, S, 3): light where ``cloth`` is 0, dark where 1."""
    hue, saturation = generator.random(), generator.uniform(0.15, 0.9)
    levels = (0.0, 0.5, 1.0)
    ramp = [
        colorsys.hsv_to_rgb(hue, saturation * 0.35, 0.97),
        colorsys.hsv_to_rgb(hue, saturation, 0.72),
        colorsys.hsv_to_rgb(hue, saturation, 0.16),
    ]
    return np.stack([np.interp(cloth, levels, channel) for channel in zip(*ramp, strict=True)], 2).astype(
        np.float32
    )


def _contrasting(
    name: str, shape: tuple[int, int], garment: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Draw backgrounds until one differs from the garment's mean colour enough for a person to see it."""
    for _ in range(20):
        scene = backgrounds.draw(name, shape, generator)
        if np.linalg.norm(scene[::8, ::8].mean((0, 1)) - garment) >= CONTRAST:
            break
    return scene


def _resized(field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(field).resize(shape[::-1], Image.Resampling.BILINEAR))


def _exposed(scene: np.ndarray, softness: float, noise: float, generator: np.random.Generator) -> np.ndarray:
    """Return what a camera keeps of a scene, uint8: a little blur, a little noise."""
    picture = Image.fromarray((np.clip(scene, 0, 1) * 255).astype(np.uint8))
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(softness)), np.float32)
    soft += 255 * noise * generator.standard_normal((*soft.shape[:2], 1), dtype=np.float32)
    return np.rint(np.clip(soft, 0, 255)).astype(np.uint8)
