"""Test images rendered as photographs of 200 to 800 pixels, and prepared again as `scripts/predict.py` does.

A photograph is a pure function of the image, its kind and a seed. The same seed gives the garment the same
colour, size and place on each background. Nothing here uses the class of an image or a model, and no network
is imported, so that processes that render start quickly.
"""

import colorsys
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage
from tqdm import tqdm

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.errors import InputError
from fmnist.core.images import check_images
from fmnist.pictures import prepare, worker_pool
from fmnist.robustness.backgrounds import BACKGROUNDS

PRODUCT, NEGATIVE = "product", "negative"
KINDS = (PRODUCT, NEGATIVE, *BACKGROUNDS)
"""A product photograph, dark on light; its negative, light on dark; and in colour on each background."""
POLARITIES = {PRODUCT: "dark-on-light", NEGATIVE: "light-on-dark"}
"""The polarity of a photograph where it is known; in colour, a garment may be darker or lighter."""
SIDES = (200, 800)  # shortest and longest side of a photograph, pixels
OPENING = 8  # pixels: a larger hole in a garment is a handle's or a strap's, and the background shows
SPECK = 3  # pixels: smaller parts are dirt
COVERED = 0.8  # share of its darkest neighbour's darkness from which a pixel on the outline is all cloth
CLOTH = 4  # grey level from which a pixel can be cloth: the whitest cloth is hardly darker than white paper
CONTRAST = 0.22  # least distance between the mean colours of garment and background, RGB in [0, 1]
FRAME = 2  # pixels added around an image, so that its edges can be smoothed
SHARPNESS = 2.5  # of the outline; 1 is as soft as a pixel of the data set
CHUNK = 16  # images that a process takes at a time


class Photographs(NamedTuple):
    """Photographs of one kind, prepared.

    Attributes:
        images: uint8 (N, 28, 28), what a model sees.
        polarities: str (N,), what the preparation found, ``dark-on-light`` or ``light-on-dark``.
    """

    images: np.ndarray
    polarities: np.ndarray


def prepared_photographs(
    images: np.ndarray, seeds: np.ndarray, progress: bool = False
) -> dict[str, Photographs]:
    """Render images uint8 (N, 28, 28) with seeds (N,) as photographs of each kind, and prepare these."""
    tasks = [(image, kind, int(seed)) for kind in KINDS for image, seed in zip(images, seeds, strict=True)]
    with worker_pool() as pool:
        results = pool.map(prepared_photograph, *zip(*tasks, strict=True), chunksize=CHUNK)
        disable = None if progress else True
        pairs = list(tqdm(results, "photographs", len(tasks), unit="picture", disable=disable))
    prepared = np.stack([image for image, _ in pairs]).reshape(len(KINDS), *images.shape)
    polarities = np.array([polarity for _, polarity in pairs]).reshape(len(KINDS), len(images))
    return {kind: Photographs(*part) for kind, *part in zip(KINDS, prepared, polarities, strict=True)}


def prepared_photograph(image: np.ndarray, kind: str, seed: int) -> tuple[np.ndarray, str]:
    """Render and prepare a photograph: return what a model sees, uint8 (28, 28), and the polarity found."""
    prepared = prepare(render(image, kind, seed))
    return prepared.image, prepared.polarity


def render(image: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """Render a garment as a photograph.

    Args:
        image: uint8 (28, 28), bright where the cloth was dark, as in the data set.
        kind: One of `KINDS`.
        seed: Chooses size, place, colours, light, background and noise.

    Returns:
        uint8 (H, W, 3), RGB, H and W between 200 and 800.

    Raises:
        InputError: There is no such kind, or the image has another shape or type.
    """
    if kind not in KINDS:
        raise InputError(f"photograph {kind!r}: must be one of {', '.join(KINDS)}")
    check_images(image[None])
    if kind in BACKGROUNDS:
        return _on_background(image, kind, seed)
    photograph = _on_paper(image, seed)
    return 255 - photograph if kind == NEGATIVE else photograph


def _on_background(image: np.ndarray, background: str, seed: int) -> np.ndarray:
    """Render a garment in a random colour, with its shadow, on a background."""
    generator = np.random.default_rng([seed, 0])
    height, width, side, top, left = _layout(generator, smallest=0.55)
    shade, cover = (_upscaled(part, side) for part in _shade_and_cover(image))
    garment, mask = _dyed(shade, generator), np.clip((cover - 0.5) * SHARPNESS + 0.5, 0, 1)
    darkness, offset = generator.uniform(0, 0.35), 0.03 * side * generator.uniform(-1, 1, 2)  # of the shadow
    blur, noise = generator.uniform(0.3, 0.9), generator.uniform(1, 5) / 255

    mean = garment[mask > 0.5].mean(0) if mask.max() > 0.5 else garment.mean((0, 1))
    # a second stream, so that the garment does not depend on the background
    generator = np.random.default_rng([seed, 1, list(BACKGROUNDS).index(background)])
    scene = _contrasting(background, (height, width), mean, generator)
    covered = np.zeros((height, width), np.float32)
    covered[top : top + side, left : left + side] = mask
    # a shadow is blurred, so a quarter of the resolution is enough
    shadow = ndimage.shift(ndimage.gaussian_filter(covered[::4, ::4], 0.008 * side), offset / 4, order=1)
    resized = Image.fromarray(shadow).resize((width, height), Image.Resampling.BILINEAR)
    scene *= 1 - darkness * np.asarray(resized)[:, :, None]
    window = scene[top : top + side, left : left + side]
    window += mask[:, :, None] * (garment - window)
    return _exposed(scene, blur, noise, generator)


def _on_paper(image: np.ndarray, seed: int) -> np.ndarray:
    """Render a garment dark on light plain paper: the negative of its image, larger, with margins."""
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
    filled = cloth | _small_parts(~cloth, OPENING)
    return (filled & ~_small_parts(filled, SPECK, np.ones((3, 3))))[1:-1, 1:-1]


def _small_parts(mask: np.ndarray, largest: int, structure: np.ndarray | None = None) -> np.ndarray:
    """Return the connected parts of a mask that have at most ``largest`` pixels."""
    parts, _ = ndimage.label(mask, structure)
    return mask & (np.bincount(parts.ravel())[parts] <= largest)


def _layout(generator: np.random.Generator, smallest: float) -> tuple[int, int, int, int, int]:
    """Return height and width of the photograph, and side, top and left of the garment's square in it."""
    low, high = SIDES
    height = int(generator.integers(low, high + 1))
    width = int(np.clip(height * generator.uniform(0.7, 1.35), low, high))
    side = int(min(height, width) * generator.uniform(smallest, 0.92))
    margin = int(0.03 * min(height, width))
    top, left = (int(generator.integers(margin, length - side - margin + 1)) for length in (height, width))
    return height, width, side, top, left


def _shade_and_cover(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tell how dark the cloth is from how much of a pixel it covers.

    A pixel on the outline shows some background, so it is fainter than the cloth beside it. It takes that
    cloth's shade, and its cover is its own brightness relative to it. The shade continues outside the
    garment, so that an enlarged garment has no light rim.

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
    box = (FRAME, FRAME, FRAME + IMAGE_SIZE, FRAME + IMAGE_SIZE)
    return np.clip(np.asarray(framed.resize((side, side), Image.Resampling.BICUBIC, box=box)), 0, 1)


def _dyed(shade: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return cloth of a random colour, float32 (S, S, 3): light where ``shade`` is 0, dark where it is 1."""
    hue, saturation = generator.random(), generator.uniform(0.15, 0.9)
    colours = [  # of the shades 0, 0.5 and 1
        colorsys.hsv_to_rgb(hue, saturation * 0.35, 0.97),
        colorsys.hsv_to_rgb(hue, saturation, 0.72),
        colorsys.hsv_to_rgb(hue, saturation, 0.16),
    ]
    channels = [np.interp(shade, (0.0, 0.5, 1.0), channel) for channel in zip(*colours, strict=True)]
    return np.stack(channels, axis=2).astype(np.float32)


def _contrasting(
    background: str, shape: tuple[int, int], garment: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Draw backgrounds until one differs enough from the garment's mean colour, RGB (3,); at most 20."""
    for _ in range(20):
        scene = BACKGROUNDS[background](shape, generator)
        if np.linalg.norm(scene[::8, ::8].mean((0, 1)) - garment) >= CONTRAST:
            break
    return scene


def _exposed(scene: np.ndarray, blur: float, noise: float, generator: np.random.Generator) -> np.ndarray:
    """Return a scene (H, W, 3) in [0, 1] as a camera records it, uint8: a little blur, a little noise."""
    picture = Image.fromarray((np.clip(scene, 0, 1) * 255).astype(np.uint8))
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(blur)), np.float32)
    blurred += 255 * noise * generator.standard_normal((*blurred.shape[:2], 1), dtype=np.float32)
    return np.rint(np.clip(blurred, 0, 255)).astype(np.uint8)
