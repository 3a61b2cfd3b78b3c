"""Every augmentation of training images: its function, and its declaration in ``Augmentation``.

Each function works on a whole batch on its device, with random parameters of its own for each image. The
parameters come from ``Draws``, by name, so an image is augmented alike whatever the batch size, the number of
processes, or the restarts before it.

To add a photometric one: write its function, and declare it as a field of ``Augmentation`` with
``_probability``. Its flag, help, range, hyperparameter and order follow from that.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fmnist.core.errors import InputError
from fmnist.data.streams import Draws
from fmnist.data.textures import draw_textures

SIZE = 28  # height and width of an image, pixels
SMALLEST_ERASED_AREA = 0.02
SMALLEST_SIZE = 0.45
LARGEST_GAIN = 16.0  # and 1/16 is the smallest
LARGEST_LIFT = 0.4  # grey levels added, of 1
LONGEST_BLUR, WIDEST_BLUR = 6.0, 1.5  # standard deviations along and across, pixels
STRONGEST_GRAIN = 0.35  # standard deviation, of 1
MOST_STRUCK = 0.3  # share of the pixels
NOISE_SIZE = 512  # height and width of a bank of noise
TEXTURES = 400

Photometric = Callable[[Tensor, Tensor, Draws], Tensor]
"""Images to change, float32 (b, 1, 28, 28) in [0, 1]; the same images before any photometric augmentation;
their random numbers. Returns the changed images."""


def affine(images: Tensor, u: Draws, settings: "Augmentation") -> Tensor:
    """Shear, scale and rotate around the centre, shrink, and move into the room that this leaves."""
    clean = u("p_clean") < settings.p_clean
    warped = (u("p_affine") < settings.p_affine) & ~clean
    shrunk = (u("shrink") < settings.shrink) & ~clean
    angle = torch.deg2rad((2 * u("rotate") - 1) * settings.rotate) * warped
    room = (1 - SMALLEST_SIZE) * u("shrink_size") * shrunk
    size = (1 + (2 * u("scale") - 1) * settings.scale * warped) * (1 - room)
    shear = (2 * u("shear") - 1) * settings.shear * warped
    cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
    linear = torch.stack([cos - shear * sin, sin + shear * cos, -sin, cos], 1).view(-1, 2, 2)
    moved = torch.stack([(2 * u("shrink_x") - 1) * room, (2 * u("shrink_y") - 1) * room], 1)[:, :, None]
    # (B, 2, 3): the inverse map of (x, y) in [-1, 1], from where a pixel lands to where it is read
    theta = torch.cat([linear, -linear @ moved], 2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def mix(images: Tensor, others: Tensor, u: Draws, settings: "Augmentation") -> tuple[Tensor, Tensor]:
    """Mix each image with another by mixup or CutMix.

    Returns:
        The mixed images, and the share (B,) of each that is its own.
    """
    if settings.mixup and settings.cutmix:
        cuts = u("mix_kind") < 0.5
    else:
        cuts = torch.full((len(images),), bool(settings.cutmix), device=images.device)
    kept = u.beta("mixup", settings.mixup or 1.0)
    side = SIZE * torch.sqrt(1 - u.beta("cutmix", settings.cutmix or 1.0))
    box = rectangles(side, side, u("mix_y"), u("mix_x")) & cuts[:, None, None, None]
    share = torch.where(cuts, 1 - box.float().mean((1, 2, 3)), kept)
    weight = _each(torch.where(cuts, 1.0, share))
    return torch.where(box, others, weight * images + (1 - weight) * others), share


def erase(images: Tensor, u: Draws, settings: "Augmentation") -> Tensor:
    """Blacken a rectangle of random area, shape and place."""
    chosen = (u("erase") < settings.erase) & (u("p_clean") >= settings.p_clean)
    largest = settings.erase_area
    area = SIZE**2 * (SMALLEST_ERASED_AREA + u("erase_area") * (largest - SMALLEST_ERASED_AREA))
    aspect = torch.exp((2 * u("erase_aspect") - 1) * math.log(3.3))
    box = rectangles(torch.sqrt(area * aspect), torch.sqrt(area / aspect), u("erase_y"), u("erase_x"))
    return images.masked_fill(box & chosen[:, None, None, None], 0.0)


def rectangles(height: Tensor, width: Tensor, u_y: Tensor, u_x: Tensor) -> Tensor:
    """Return masks, bool (B, 1, 28, 28), of rectangles that lie wholly inside the image.

    Args:
        height: Height in pixels (B,), rounded and limited to the image.
        width: Width in pixels (B,), likewise.
        u_y: Uniform in [0, 1): where the rectangle lies among the rows that hold it.
        u_x: The same for columns.
    """
    pixels = torch.arange(SIZE, device=height.device)

    def span(length: Tensor, u: Tensor) -> Tensor:
        length = length.round().clamp(0, SIZE)
        start = (u * (SIZE - length + 1)).floor()[:, None]
        return (pixels >= start) & (pixels < start + length[:, None])  # (B, 28)

    return (span(height, u_y)[:, :, None] & span(width, u_x)[:, None, :])[:, None]


def change_levels(images: Tensor, original: Tensor, u: Draws) -> Tensor:
    """Stretch or flatten the grey levels around a pivot, lift them, and clip.

    The factor is drawn between 1/16 and 16, evenly on a logarithmic scale. What is flattened may end
    anywhere between black and white; what is stretched has its pivot in the dark quarter, so that
    garments rather turn white than vanish.
    """
    gain = torch.exp((2 * u("gain") - 1) * math.log(LARGEST_GAIN))
    pivot = u("pivot") * torch.where(gain > 1, 0.25, 1.0)
    offset = pivot - gain * pivot + LARGEST_LIFT * u("lift")
    return (_each(gain) * images + _each(offset)).clamp_(0, 1)


def negate(images: Tensor, original: Tensor, u: Draws) -> Tensor:
    """Return negatives."""
    return 1 - images


def put_texture_behind(images: Tensor, original: Tensor, u: Draws) -> Tensor:
    """Put textures behind garments: a third get the whole texture, the others patches of it on black.

    Patches are what is left of a background that was removed in part. Where the garment is, the original
    images tell.
    """
    textures = u.streams.bank("textures", lambda generator: draw_textures(TEXTURES, generator))
    low, high = _each(u("texture_low")), _each(u("texture_high"))
    behind = low + (high - low) * _windows(textures, u("texture"), u("texture_y"), u("texture_x"))
    relief = _windows(textures, u("patch"), u("texture_x"), u("texture_y"))
    patches = (16 * (relief - _each(u("patch_share")))).clamp_(0, 1)
    behind = torch.where(_each(u("patches")) < 1 / 3, behind, patches * behind)
    return torch.lerp(behind, images, silhouettes(original))


def silhouettes(images: Tensor) -> Tensor:
    """Return how much of every pixel belongs to the garment, in [0, 1]: 1 from a grey level of 0.05 on.

    Dark gaps of up to 4 pixels are closed, because cloth can be as dark as the background.
    """
    covered = F.max_pool2d((20 * images).clamp_(max=1), 5, stride=1, padding=2)
    return -F.max_pool2d(-covered, 5, stride=1, padding=2)


def blur_ellipse(images: Tensor, original: Tensor, u: Draws) -> Tensor:
    """Blur by an oblong Gaussian in any direction: from a lens out of focus to a moving one.

    In the frequency domain a Gaussian of covariance C is exp(-2 pi^2 f' C f), so a wide one costs as
    much as a narrow one. The border of an image goes on outside it.
    """
    long, short = LONGEST_BLUR * u("blur_long") ** 2, WIDEST_BLUR * u("blur_short")
    angle = (math.pi * u("blur_angle"))[:, None, None]
    margin = SIZE // 2
    padded = F.pad(images, (margin, margin, margin, margin), mode="replicate")  # (b, 1, 56, 56)
    f_y = torch.fft.fftfreq(padded.shape[2], device=images.device)[:, None]
    f_x = torch.fft.rfftfreq(padded.shape[3], device=images.device)
    along = torch.cos(angle) * f_x + torch.sin(angle) * f_y  # (b, 56, 29)
    across = torch.cos(angle) * f_y - torch.sin(angle) * f_x
    spread = (long[:, None, None] * along) ** 2 + (short[:, None, None] * across) ** 2
    spectrum = torch.fft.rfft2(padded) * torch.exp(-2 * math.pi**2 * spread)[:, None]
    blurred = torch.fft.irfft2(spectrum, s=padded.shape[2:])
    return blurred[..., margin:-margin, margin:-margin].clamp(0, 1)


def add_noise(images: Tensor, original: Tensor, u: Draws) -> Tensor:
    """Add grain to one half of the images, alike everywhere or growing with the light; strike the others.

    A struck pixel turns black, white, or any grey level, with the same probability each. The noise of each
    pixel is cut at a random place from a bank.
    """
    shape = (1, NOISE_SIZE, NOISE_SIZE)
    normals = u.streams.bank("normal noise", lambda generator: generator.standard_normal(shape))
    uniforms = u.streams.bank("uniform noise", lambda generator: generator.random(shape))
    first = torch.zeros_like(u("noise_y"))  # of the banks
    kind, level = _each(u("noise_kind")), _each(u("noise_level"))
    normal = _windows(normals, first, u("noise_y"), u("noise_x"))
    grain = STRONGEST_GRAIN * level * normal * torch.where(kind < 0.25, 1.0, images.sqrt())
    struck = _windows(uniforms, first, u("noise_y"), u("noise_x")) < MOST_STRUCK * level
    values = (3 * _windows(uniforms, first, u("noise_row"), u("noise_column")) - 1).clamp_(0, 1)
    return torch.where(kind < 0.5, (images + grain).clamp_(0, 1), torch.where(struck, values, images))


def _windows(bank: Tensor, u_which: Tensor, u_y: Tensor, u_x: Tensor) -> Tensor:
    """Cut a window out of a bank (K, H, W) for every image, (b, 1, 28, 28), at uniform random places."""
    windows = bank.unfold(1, SIZE, 1).unfold(2, SIZE, 1)  # (K, H - 27, W - 27, 28, 28), without a copy
    k, y, x = ((u * n).long() for u, n in zip((u_which, u_y, u_x), windows.shape[:3], strict=True))
    return windows[k, y, x][:, None]


def _each(values: Tensor) -> Tensor:
    """Shape one number an image, (B,), so that it meets every pixel of its image: (B, 1, 1, 1)."""
    return values[:, None, None, None]


def _setting(default: float, highest: float = 1.0, lowest: float = 0.0) -> Any:
    """Declare a setting with its range."""
    return field(default=default, metadata={"lowest": lowest, "highest": highest})


def _probability(function: Photometric) -> Any:
    """Declare a photometric augmentation: it happens to each image with a probability, by default never."""
    return field(default=0.0, metadata={"lowest": 0.0, "highest": 1.0, "function": function})


@dataclass(frozen=True)
class Augmentation:
    """Switch and strength of each augmentation; by default everything is off.

    They happen in this order: shift, flip, affine maps, mixing, erasing, and then the photometric ones in the
    order of their declaration. Random combinations of simple operations are the idea of
    Hendrycks et al. 2020, "AugMix" (arXiv 1912.02781), here without their consistency loss.

    Raises:
        InputError: A setting lies outside its range.
    """

    shift: int = _setting(0, highest=SIZE - 1)
    """Largest shift in pixels, up, down, left and right; what is uncovered is black."""
    flip: bool = _setting(False)
    """Mirror every image horizontally with probability one half."""
    rotate: float = _setting(0.0, highest=180)
    """Largest rotation in degrees, either way."""
    scale: float = _setting(0.0, highest=0.9)
    """Largest relative change of size: 0.1 draws a factor between 0.9 and 1.1."""
    shear: float = _setting(0.0, highest=2)
    """Largest shear, either way: the pixels that a row moves for every row it lies off the middle."""
    p_affine: float = _setting(1.0)
    """Probability that an image is rotated, scaled and sheared at all."""
    shrink: float = _setting(0.0)
    """Probability that an image is made smaller, down to 0.45 of its size, and put anywhere in the frame."""
    mixup: float = _setting(0.0, highest=100)
    """Alpha of mixup's Beta distribution (Zhang et al. 2018, arXiv 1710.09412); 0 is off."""
    cutmix: float = _setting(0.0, highest=100)
    """Alpha of CutMix's Beta distribution (Yun et al. 2019, arXiv 1905.04899); 0 is off. With both, every
    image takes one of the two at random."""
    p_clean: float = _setting(0.0)
    """Probability that an image is left alone but for shift, flip and mixing."""
    erase: float = _setting(0.0)
    """Probability that a rectangle is blackened (Zhong et al. 2020, arXiv 1708.04896, algorithm 1, aspect
    ratio 0.3 to 3.3)."""
    erase_area: float = _setting(0.33, lowest=SMALLEST_ERASED_AREA)
    """Largest share of the image that is erased, the smallest being 0.02."""
    contrast: float = _probability(change_levels)
    """Probability that grey levels are stretched or flattened, and lifted."""
    invert: float = _probability(negate)
    """Probability of a negative."""
    background: float = _probability(put_texture_behind)
    """Probability that a texture is put behind the garment."""
    blur: float = _probability(blur_ellipse)
    """Probability of a blur."""
    noise: float = _probability(add_noise)
    """Probability of noise."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            low, high = setting.metadata["lowest"], setting.metadata["highest"]
            if not low <= value <= high:
                raise InputError(
                    f"--data.augmentation.{setting.name} {value}: must lie between {low:g} and {high:g}"
                )

    @property
    def mixes(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    @property
    def warps(self) -> bool:
        return any((self.rotate, self.scale, self.shear, self.shrink))

    def apply_photometric(self, images: Tensor, u: Draws) -> Tensor:
        """Change each image, float32 (B, 1, 28, 28) in [0, 1], by the photometric ones that it draws."""
        functions = {f.name: f.metadata["function"] for f in fields(self) if "function" in f.metadata}
        active = {name: function for name, function in functions.items() if getattr(self, name) > 0}
        original = images
        for name, function in active.items():
            drawn = (u(name) < getattr(self, name)) & (u("p_clean") >= self.p_clean)
            chosen = drawn.nonzero()[:, 0]
            changed = function(images[chosen], original[chosen], u.of(chosen))
            images = images.index_copy(0, chosen, changed)
        return images
