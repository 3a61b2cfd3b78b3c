"""Disturbances of whole batches: grey levels, negatives, backgrounds, blur and noise.

Every disturbance takes images float32 (B, 1, 28, 28) in [0, 1] and uniform numbers by name, each (B,).
What needs more randomness than that, the noise of each pixel and the textures of backgrounds, is cut
at random places from banks that are drawn once from the seed.

Random combinations of simple operations are the idea of Hendrycks et al. 2020, "AugMix" (arXiv
1912.02781); a disturbed image is trained on as it is, without their consistency loss.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fmnist.data.textures import draw_textures

SIZE = 28  # height and width of an image, pixels
NAMES = ("contrast", "invert", "background", "blur", "noise")
UNIFORMS = (
    *("contrast", "gain", "pivot", "lift", "invert"),
    *("background", "texture", "texture_y", "texture_x", "texture_low", "texture_high"),
    *("patches", "patch", "patch_share"),
    *("blur", "blur_long", "blur_short", "blur_angle"),
    *("noise", "noise_kind", "noise_level", "noise_y", "noise_x", "noise_row", "noise_column"),
)
LARGEST_GAIN = 16.0  # and 1/16 is the smallest
LARGEST_LIFT = 0.4  # grey levels added, of 1
LONGEST_BLUR, WIDEST_BLUR = 6.0, 1.5  # standard deviations along and across, pixels
STRONGEST_GRAIN = 0.35  # standard deviation, of 1
MOST_STRUCK = 0.3  # share of the pixels
NOISE_SIZE = 512  # height and width of a bank of noise
TEXTURES = 400


@dataclass(frozen=True)
class Banks:
    """Where noise and textures are cut from.

    Args:
        normal: Independent normal numbers, float32 (1, 512, 512).
        uniform: Independent uniform numbers, float32 (1, 512, 512).
        textures: float32 (400, 56, 56) in [0, 1].
    """

    normal: Tensor
    uniform: Tensor
    textures: Tensor

    @classmethod
    def draw(cls, seed: int, device: torch.device) -> "Banks":
        generator = np.random.default_rng([seed, 0, 5])  # streams 0 to 4 draw what changes with the epoch
        shape = (1, NOISE_SIZE, NOISE_SIZE)
        normal = generator.standard_normal(shape, dtype=np.float32)
        uniform = generator.random(shape, dtype=np.float32)
        textures = draw_textures(TEXTURES, generator)
        return cls(*(torch.from_numpy(bank).to(device) for bank in (normal, uniform, textures)))


def disturb(images: Tensor, probabilities: dict[str, float], banks: Banks, u: dict[str, Tensor]) -> Tensor:
    """Disturb each image, in place, in the ways that its uniform numbers choose; one way upon the other.

    Args:
        images: float32 (B, 1, 28, 28) in [0, 1].
        probabilities: Of each disturbance, by its name of `NAMES`.
        banks: Where noise and textures are cut from.
        u: Uniform numbers of each image by the names of `UNIFORMS`, each (B,).
    """
    cover = silhouettes(images) if probabilities["background"] else images
    for name in NAMES:
        chosen = (u[name] < probabilities[name]).nonzero()[:, 0]
        some, drawn = images[chosen], {key: values[chosen] for key, values in u.items()}
        match name:
            case "contrast":
                images[chosen] = change_levels(some, drawn)
            case "invert":
                images[chosen] = 1 - some
            case "background":
                images[chosen] = put_behind(some, cover[chosen], banks.textures, drawn)
            case "blur":
                images[chosen] = blur(some, drawn)
            case "noise":
                images[chosen] = add_noise(some, banks, drawn)
    return images


def change_levels(images: Tensor, u: dict[str, Tensor]) -> Tensor:
    """Stretch or flatten the grey levels around a pivot, lift them, and clip.

    The factor is drawn between 1/16 and 16, evenly on a logarithmic scale. What is flattened may end
    anywhere between black and white; what is stretched has its pivot in the dark quarter, so that
    garments rather turn white than vanish.
    """
    gain = torch.exp((2 * u["gain"] - 1) * math.log(LARGEST_GAIN))
    pivot = u["pivot"] * torch.where(gain > 1, 0.25, 1.0)
    offset = pivot - gain * pivot + LARGEST_LIFT * u["lift"]
    return (_each(gain) * images + _each(offset)).clamp_(0, 1)


def silhouettes(images: Tensor) -> Tensor:
    """Return how much of every pixel belongs to the garment, in [0, 1]: 1 from a grey level of 0.05 on.

    Dark gaps of up to 4 pixels are closed, because cloth can be as dark as the background.
    """
    covered = F.max_pool2d((20 * images).clamp_(max=1), 5, stride=1, padding=2)
    return -F.max_pool2d(-covered, 5, stride=1, padding=2)


def put_behind(garments: Tensor, cover: Tensor, textures: Tensor, u: dict[str, Tensor]) -> Tensor:
    """Put textures behind garments: a third get the whole texture, the others patches of it on black.

    Patches are what is left of a background that was removed in part.

    Args:
        garments: float32 (B, 1, 28, 28).
        cover: How much of each pixel is garment, of the same shape.
        textures: The bank, float32 (K, H, W).
        u: The uniform numbers of each image.
    """
    low, high = _each(u["texture_low"]), _each(u["texture_high"])
    behind = low + (high - low) * cut(textures, u["texture"], u["texture_y"], u["texture_x"])
    relief = cut(textures, u["patch"], u["texture_x"], u["texture_y"])
    patches = (16 * (relief - _each(u["patch_share"]))).clamp_(0, 1)
    behind = torch.where(_each(u["patches"]) < 1 / 3, behind, patches * behind)
    return torch.lerp(behind, garments, cover)


def blur(images: Tensor, u: dict[str, Tensor]) -> Tensor:
    """Blur by an oblong Gaussian in any direction: from a lens out of focus to a moving one.

    In the frequency domain a Gaussian of covariance C is exp(-2 pi^2 f' C f), so a wide one costs as
    much as a narrow one. The border of an image goes on outside it.
    """
    long, short = LONGEST_BLUR * u["blur_long"] ** 2, WIDEST_BLUR * u["blur_short"]
    angle = (math.pi * u["blur_angle"])[:, None, None]
    margin = SIZE // 2
    padded = F.pad(images, (margin, margin, margin, margin), mode="replicate")  # (B, 1, 56, 56)
    f_y = torch.fft.fftfreq(padded.shape[2], device=images.device)[:, None]
    f_x = torch.fft.rfftfreq(padded.shape[3], device=images.device)
    along = torch.cos(angle) * f_x + torch.sin(angle) * f_y  # (B, 56, 29)
    across = torch.cos(angle) * f_y - torch.sin(angle) * f_x
    spread = (long[:, None, None] * along) ** 2 + (short[:, None, None] * across) ** 2
    spectrum = torch.fft.rfft2(padded) * torch.exp(-2 * math.pi**2 * spread)[:, None]
    blurred = torch.fft.irfft2(spectrum, s=padded.shape[2:])
    return blurred[..., margin:-margin, margin:-margin].clamp(0, 1)


def add_noise(images: Tensor, banks: Banks, u: dict[str, Tensor]) -> Tensor:
    """Add grain to one half of the images, alike everywhere or growing with the light; strike the others.

    A struck pixel turns black, white, or any grey level, with the same probability each.
    """
    kind, level = _each(u["noise_kind"]), _each(u["noise_level"])
    normal = cut(banks.normal, None, u["noise_y"], u["noise_x"])
    grain = STRONGEST_GRAIN * level * normal * torch.where(kind < 0.25, 1.0, images.sqrt())
    struck = cut(banks.uniform, None, u["noise_y"], u["noise_x"]) < MOST_STRUCK * level
    values = (3 * cut(banks.uniform, None, u["noise_row"], u["noise_column"]) - 1).clamp_(0, 1)
    return torch.where(kind < 0.5, (images + grain).clamp_(0, 1), torch.where(struck, values, images))


def cut(bank: Tensor, which: Tensor | None, u_y: Tensor, u_x: Tensor) -> Tensor:
    """Cut a window out of a bank (K, H, W) for every image: (B, 1, 28, 28).

    Args:
        bank: Where to cut.
        which: Uniform numbers (B,) that choose among the K; ``None`` takes the first.
        u_y: Uniform numbers (B,) that choose the row.
        u_x: The same for the column.
    """
    windows = bank.unfold(1, SIZE, 1).unfold(2, SIZE, 1)  # (K, H - 27, W - 27, 28, 28), without a copy
    which = torch.zeros_like(u_y) if which is None else which
    k, y, x = ((u * n).long() for u, n in zip((which, u_y, u_x), windows.shape[:3], strict=True))
    return windows[k, y, x][:, None]


def _each(values: Tensor) -> Tensor:
    """Shape one number an image, (B,), so that it meets every pixel of its image: (B, 1, 1, 1)."""
    return values[:, None, None, None]
