"""Augmentation of training images: the function of each, its declaration, and the order of all.

Each function works on a whole batch on its device. The random numbers of an image, ``u``, are drawn by name
and depend on (seed, epoch, index) alone, so an image is augmented alike whatever the batch size, the number
of processes, or the restarts before it.

To add a photometric augmentation, write its function and declare it as a field of ``Augmentation`` with
``probability``: its flag, help text, range, hyperparameter and place in the order follow from that. To add
another kind, declare it with ``setting`` and call its function in ``geometric``, or in ``Augmenter.batch``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.errors import InputError
from fmnist.core.images import to_input
from fmnist.data.streams import Draws
from fmnist.data.textures import draw_smooth_noise, draw_textures

MIN_ERASED_AREA = 0.02  # share of the image
MAX_ERASED_ASPECT = 3.3  # ratio of the sides; 1/3.3 is the smallest
MIN_SIZE = 0.45  # of a shrunk image, relative to the frame
MAX_GAIN = 16.0  # of contrast; 1/16 is the smallest
MAX_BRIGHTNESS = 0.4  # added to levels in [0, 1]
MAX_BLUR_ALONG, MAX_BLUR_ACROSS = 6.0, 1.5  # standard deviations of the Gaussian, pixels
MAX_NOISE = 0.35  # standard deviation, of levels in [0, 1]
MAX_IMPULSES = 0.3  # share of the pixels
LOG_WIDTHS = -0.1, 0.7  # of warped images, the logarithm of the ratio of width to height
LIFTS = -0.3, 1.0  # of sleeves
SLEEVE = 0.3  # distance from the middle column where sleeves begin; 1 is half the side
SPREADS = 0.0, 0.4  # of legs and hems
WAIST = 0.2  # distance above the middle row where they begin
MAX_WARP = 0.16  # standard deviation of the displacement; 2 is the side of the image
WARP_SCALE, OUTLINE_SCALE = 5.0, 1.6  # standard deviations of the Gaussian that smooths noise, pixels
MAX_OUTLINE = 0.6  # standard deviation of what is added to the cover of the garment, in [0, 1]
NOISE_BANK_SIZE = 512  # height and width, pixels
TEXTURE_COUNT = 400

Photometric = Callable[[Tensor, Tensor, Draws], Tensor]
"""Function of (images to change, float32 (b, 1, 28, 28) in [0, 1]; the same images before any photometric
augmentation; their random numbers) that returns the changed images."""


def geometric(images: Tensor, u: Draws, settings: "Augmentation") -> Tensor:
    """Flip shifted images, uint8 (B, 28, 28), and map them affinely; float32 (B, 1, 28, 28) in [0, 1]."""
    if settings.flip:
        images = torch.where((u("flip") < 0.5)[:, None, None], images.flip(2), images)
    images = to_input(images)
    if settings.rotate or settings.scale or settings.shear or settings.shrink or settings.warp:
        images = affine(images, u, settings)
    return images


def affine(images: Tensor, u: Draws, settings: "Augmentation") -> Tensor:
    """Rotate, scale and shear around the centre; shrink, and place the shrunk image anywhere in the frame."""
    warped, shrunk = _happens("p_affine", u, settings), _happens("shrink", u, settings)
    angle = torch.deg2rad(u.signed("rotate") * settings.rotate) * warped
    space = (1 - MIN_SIZE) * u("shrink_size") * shrunk  # share of the frame that shrinking leaves empty
    size = (1 + u.signed("scale") * settings.scale * warped) * (1 - space)
    shear = u.signed("shear") * settings.shear * warped
    cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
    linear = torch.stack([cos - shear * sin, sin + shear * cos, -sin, cos], 1).view(-1, 2, 2)
    moved = torch.stack([u.signed("shrink_x") * space, u.signed("shrink_y") * space], 1)[:, :, None]
    # (B, 2, 3): the inverse map of (x, y) in [-1, 1], from where a pixel lands to where it is read
    theta = torch.cat([linear, -linear @ moved], 2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    if settings.warp:
        grid = grid + _displacement(grid, u, _happens("warp", u, settings))
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _displacement(grid: Tensor, u: Draws, warped: Tensor) -> Tensor:
    """Return how far, (B, 28, 28, 2), the places where pixels are read move when garments are warped.

    Garments that lie spread out are wider than those of the data set, which hang; their sleeves are lifted,
    and their legs and hems apart. Cloth does not lie flat, so all places move smoothly besides.
    """
    size = NOISE_BANK_SIZE
    noise = u.bank("smooth noise", lambda generator: draw_smooth_noise(size, WARP_SCALE, generator))
    shifts = [_crops_of_one(noise, u(f"{name}_y"), u(f"{name}_x")) for name in ("warp", "warp_along")]
    smooth = MAX_WARP * per_image(u("warp_size") ** 2) * torch.cat(shifts, 1).permute(0, 2, 3, 1)

    def between(low: float, high: float, name: str) -> Tensor:
        return (low + (high - low) * u(name))[:, None, None]

    x, y = grid.unbind(3)
    width = torch.exp(between(*LOG_WIDTHS, "warp_width"))  # by the height
    zoom = width.clamp(min=1)  # what would leave the frame is made smaller
    x, y = x * zoom / width, y * zoom
    moved_y = y + between(*LIFTS, "warp_lift") * (x.abs() - SLEEVE).clamp(min=0)
    moved_x = x - between(*SPREADS, "warp_spread") * (y + WAIST).clamp(min=0) * torch.tanh(8 * x)
    return per_image(warped) * (torch.stack([moved_x, moved_y], 3) - grid + smooth)


def mix(images: Tensor, others: Tensor, u: Draws, settings: "Augmentation") -> tuple[Tensor, Tensor]:
    """Mix each image with another by mixup or CutMix.

    Returns:
        The mixed images, and the share (B,) of each that is its own.
    """
    if settings.mixup and settings.cutmix:
        cut = u("mix_kind") < 0.5
    else:
        cut = torch.full((len(images),), bool(settings.cutmix), device=images.device)
    weight = u.beta("mixup", settings.mixup or 1.0)
    side = IMAGE_SIZE * torch.sqrt(1 - u.beta("cutmix", settings.cutmix or 1.0))
    box = rectangles(side, side, u("mix_y"), u("mix_x")) & per_image(cut)
    share = torch.where(cut, 1 - box.float().mean((1, 2, 3)), weight)
    weight = per_image(torch.where(cut, 1.0, share))
    return torch.where(box, others, weight * images + (1 - weight) * others), share


def erase(images: Tensor, u: Draws, settings: "Augmentation") -> Tensor:
    """Blacken a rectangle of random area, aspect ratio and position."""
    share = MIN_ERASED_AREA + u("erase_area") * (settings.erase_area - MIN_ERASED_AREA)
    area = IMAGE_SIZE**2 * share
    aspect = torch.exp(u.signed("erase_aspect") * math.log(MAX_ERASED_ASPECT))
    box = rectangles(torch.sqrt(area * aspect), torch.sqrt(area / aspect), u("erase_y"), u("erase_x"))
    return images.masked_fill(box & per_image(_happens("erase", u, settings)), 0.0)


def rectangles(height: Tensor, width: Tensor, u_y: Tensor, u_x: Tensor) -> Tensor:
    """Return masks, bool (B, 1, 28, 28), of rectangles that lie wholly inside the image.

    Args:
        height: Height in pixels (B,), rounded and limited to the image.
        width: Width in pixels (B,), likewise.
        u_y: In [0, 1): position among the rows where the rectangle fits.
        u_x: The same for columns.
    """
    pixels = torch.arange(IMAGE_SIZE, device=height.device)

    def span(length: Tensor, u: Tensor) -> Tensor:
        length = length.round().clamp(0, IMAGE_SIZE)
        start = (u * (IMAGE_SIZE - length + 1)).floor()[:, None]
        return (pixels >= start) & (pixels < start + length[:, None])  # (B, 28)

    return (span(height, u_y)[:, :, None] & span(width, u_x)[:, None, :])[:, None]


def photometric(images: Tensor, u: Draws, settings: "Augmentation") -> Tensor:
    """Apply to each image the photometric augmentations that it draws, in the order of declaration."""
    original = images
    for declared in fields(settings):
        function = declared.metadata.get("function")
        if function is None or not getattr(settings, declared.name):
            continue
        happens = _happens(declared.name, u, settings)
        if images.device.type == "cpu":  # the chosen images alone cost less
            chosen = happens.nonzero()[:, 0]
            changed = function(images[chosen], original[chosen], u.of(chosen))
            images = images.index_copy(0, chosen, changed)
        else:  # a GPU would wait for the host to learn how many are chosen
            images = torch.where(per_image(happens), function(images, original, u), images)
    return images


def change_cloth(images: Tensor, original: Tensor, u: Draws) -> Tensor:
    """Give garments other cloth: faded or negated grey levels, and a texture, everywhere or as a print."""
    garment = foreground(original, gain=5, gap=3)
    textures = u.bank("textures", lambda generator: draw_textures(TEXTURE_COUNT, generator))
    keep, low, high = u.signed("cloth_keep"), u("cloth_low"), u("cloth_high")
    levels = F.max_pool2d(images, 3, stride=1, padding=1)  # of cloth on the outline, too
    levels = torch.where(per_image(keep) < 0, 1 - levels, torch.lerp(levels, images, garment))
    cloth = per_image(low) + per_image(high - low) * _crops(textures, u("cloth"), u("cloth_y"), u("cloth_x"))
    relief = _crops(textures, u("print"), u("cloth_x"), u("cloth_y"))
    prints = (8 * (relief - per_image(u("print_share")))).clamp_(0, 1)
    cover = (1 - per_image(keep.abs())) * torch.where(per_image(u("print_kind")) < 0.5, 1.0, prints)
    changed = garment * torch.lerp(levels, cloth, cover)
    return changed / changed.amax((2, 3), keepdim=True).clamp(min=0.2)


def change_outline(images: Tensor, original: Tensor, u: Draws) -> Tensor:
    """Move the outlines of garments at random, as a poor cut-out does: parts are lost, others are added."""
    garment = F.avg_pool2d(foreground(original, gain=5, gap=3), 3, stride=1, padding=1)
    fine = u.bank(
        "fine noise", lambda generator: draw_smooth_noise(NOISE_BANK_SIZE, OUTLINE_SCALE, generator)
    )
    noise = _crops_of_one(fine, u("outline_y"), u("outline_x"))
    moved = garment + MAX_OUTLINE * per_image(u("outline_size")) * noise
    cover = (4 * (moved - 0.5) + 0.5).clamp_(0, 1)
    around = torch.where(garment > 0.5, images, F.max_pool2d(images, 5, stride=1, padding=2))
    return cover * around


def change_contrast(images: Tensor, original: Tensor, u: Draws) -> Tensor:
    """Scale the grey levels around a pivot, add brightness, and clip.

    The factor lies between 1/16 and 16, uniform on a logarithmic scale. Below 1 the pivot is any level, so
    a flat image may become black, white or grey. Above 1 it lies in the darkest quarter, so that garments
    become white more often than black.
    """
    gain = torch.exp(u.signed("gain") * math.log(MAX_GAIN))
    pivot = u("pivot") * torch.where(gain > 1, 0.25, 1.0)
    offset = pivot - gain * pivot + MAX_BRIGHTNESS * u("lift")
    return (per_image(gain) * images + per_image(offset)).clamp_(0, 1)


def negate(images: Tensor, original: Tensor, u: Draws) -> Tensor:
    """Return the negatives."""
    return 1 - images


def add_background(images: Tensor, original: Tensor, u: Draws) -> Tensor:
    """Put textures behind the garments: whole ones for a third of the images, patches on black for the rest.

    The patches resemble a background that was removed in part. The original images, black behind the
    garment, tell where the garment is.
    """
    textures = u.bank("textures", lambda generator: draw_textures(TEXTURE_COUNT, generator))
    low, high = per_image(u("texture_low")), per_image(u("texture_high"))
    background = low + (high - low) * _crops(textures, u("texture"), u("texture_y"), u("texture_x"))
    relief = _crops(textures, u("patch"), u("texture_x"), u("texture_y"))
    patches = (16 * (relief - per_image(u("patch_share")))).clamp_(0, 1)
    background = torch.where(per_image(u("patches")) < 1 / 3, background, patches * background)
    return torch.lerp(background, images, foreground(original))


def foreground(images: Tensor, gain: float = 20, gap: int = 5) -> Tensor:
    """Return how much of each pixel belongs to the garment, in [0, 1]: 1 from a grey level of 1 / gain on.

    Dark gaps of less than ``gap`` pixels are closed (a maximum filter, then a minimum filter), because cloth
    can be as dark as the background.
    """
    covered = F.max_pool2d((gain * images).clamp_(max=1), gap, stride=1, padding=gap // 2)
    return -F.max_pool2d(-covered, gap, stride=1, padding=gap // 2)


def gaussian_blur(images: Tensor, original: Tensor, u: Draws) -> Tensor:
    """Blur by an elliptical Gaussian in any direction, from out of focus to motion blur.

    In the frequency domain a Gaussian of covariance C is exp(-2 pi^2 f' C f), so a wide one costs as
    much as a narrow one. Beyond its border an image is continued by its border pixels.
    """
    std_along, std_across = MAX_BLUR_ALONG * u("blur_long") ** 2, MAX_BLUR_ACROSS * u("blur_short")
    angle = (math.pi * u("blur_angle"))[:, None, None]
    margin = IMAGE_SIZE // 2
    padded = F.pad(images, (margin, margin, margin, margin), mode="replicate")  # (b, 1, 56, 56)
    f_y = torch.fft.fftfreq(padded.shape[2], device=images.device)[:, None]
    f_x = torch.fft.rfftfreq(padded.shape[3], device=images.device)
    along = torch.cos(angle) * f_x + torch.sin(angle) * f_y  # (b, 56, 29)
    across = torch.cos(angle) * f_y - torch.sin(angle) * f_x
    spread = (std_along[:, None, None] * along) ** 2 + (std_across[:, None, None] * across) ** 2
    spectrum = torch.fft.rfft2(padded) * torch.exp(-2 * math.pi**2 * spread)[:, None]
    blurred = torch.fft.irfft2(spectrum, s=padded.shape[2:])
    return blurred[..., margin:-margin, margin:-margin].clamp(0, 1)


def add_noise(images: Tensor, original: Tensor, u: Draws) -> Tensor:
    """Add Gaussian noise to one half of the images, impulse noise to the other.

    Of the Gaussian noise one half is equally strong everywhere, the other grows with the root of the grey
    level, as photon noise does. An impulse turns a pixel black, white, or any grey level, with the same
    probability each. The noise of each image is a random crop of a bank.
    """
    shape = (1, NOISE_BANK_SIZE, NOISE_BANK_SIZE)
    normals = u.bank("normal noise", lambda generator: generator.standard_normal(shape))
    uniforms = u.bank("uniform noise", lambda generator: generator.random(shape))
    kind, level = per_image(u("noise_kind")), per_image(u("noise_level"))
    normal = _crops_of_one(normals, u("noise_y"), u("noise_x"))
    gaussian = MAX_NOISE * level * normal * torch.where(kind < 0.25, 1.0, images.sqrt())
    impulses = _crops_of_one(uniforms, u("noise_y"), u("noise_x")) < MAX_IMPULSES * level
    values = (3 * _crops_of_one(uniforms, u("noise_row"), u("noise_column")) - 1).clamp_(0, 1)
    return torch.where(kind < 0.5, (images + gaussian).clamp_(0, 1), torch.where(impulses, values, images))


def _happens(name: str, u: Draws, settings: "Augmentation") -> Tensor:
    """Return which images, bool (B,), draw what has the probability ``settings.name``; clean ones do not."""
    return (u(name) < getattr(settings, name)) & (u("p_clean") >= settings.p_clean)


def _crops(bank: Tensor, u_which: Tensor, u_y: Tensor, u_x: Tensor) -> Tensor:
    """Crop (b, 1, 28, 28) from a bank (K, H, W): each from the image and position that its numbers say."""
    windows = bank.unfold(1, IMAGE_SIZE, 1).unfold(2, IMAGE_SIZE, 1)  # (K, H - 27, W - 27, 28, 28), a view
    k, y, x = ((u * n).long() for u, n in zip((u_which, u_y, u_x), windows.shape[:3], strict=True))
    return windows[k, y, x][:, None]


def _crops_of_one(bank: Tensor, u_y: Tensor, u_x: Tensor) -> Tensor:
    """Crop (b, 1, 28, 28) from a bank of one large image (1, H, W)."""
    return _crops(bank, torch.zeros_like(u_y), u_y, u_x)


def per_image(values: Tensor) -> Tensor:
    """Reshape one number an image, (B,), to (B, 1, 1, 1)."""
    return values[:, None, None, None]


def setting(default: float, highest: float = 1.0, lowest: float = 0.0) -> Any:
    """Declare a setting with its range."""
    return field(default=default, metadata={"lowest": lowest, "highest": highest})


def probability(function: Photometric) -> Any:
    """Declare a photometric augmentation: the probability, by default 0, that an image gets it."""
    return field(default=0.0, metadata={"lowest": 0.0, "highest": 1.0, "function": function})


@dataclass(frozen=True)
class Augmentation:
    """Switch and strength of each augmentation; by default everything is off.

    The order is: shift, flip, affine maps, mixing, erasing, and then the photometric augmentations in the
    order of their declaration. Random combinations of simple operations are the idea of
    Hendrycks et al. 2020, "AugMix" (arXiv 1912.02781), here without their consistency loss.

    Raises:
        InputError: A setting lies outside its range.
    """

    shift: int = setting(0, highest=IMAGE_SIZE - 1)
    """Largest shift in pixels, up, down, left and right; what is uncovered is black."""
    flip: bool = setting(False)
    """Mirror every image horizontally with probability one half."""
    rotate: float = setting(0.0, highest=180)
    """Largest rotation in degrees, either way."""
    scale: float = setting(0.0, highest=0.9)
    """Largest relative change of size: 0.1 draws a factor between 0.9 and 1.1."""
    shear: float = setting(0.0, highest=2)
    """Largest shear, either way: the pixels that a row moves for every row that it lies off the middle."""
    p_affine: float = setting(1.0)
    """Probability that an image is rotated, scaled and sheared at all."""
    shrink: float = setting(0.0)
    """Probability that an image is shrunk, down to 0.45 of its size, and placed anywhere in the frame."""
    mixup: float = setting(0.0, highest=100)
    """Alpha of mixup's Beta distribution (Zhang et al. 2018, arXiv 1710.09412); 0 is off."""
    cutmix: float = setting(0.0, highest=100)
    """Alpha of CutMix's Beta distribution (Yun et al. 2019, arXiv 1905.04899); 0 is off. With mixup and
    CutMix, every image gets one of the two at random."""
    p_clean: float = setting(0.0)
    """Probability that an image is only shifted, flipped and mixed."""
    erase: float = setting(0.0)
    """Probability that a rectangle is erased (Zhong et al. 2020, arXiv 1708.04896, algorithm 1, aspect
    ratio 0.3 to 3.3)."""
    erase_area: float = setting(0.33, lowest=MIN_ERASED_AREA)
    """Largest share of the image that is erased; the smallest is 0.02."""
    warp: float = setting(0.0)
    """Probability of a warp, like that of garments that lie spread out."""
    cloth: float = probability(change_cloth)
    """Probability that the cloth changes: faded, negated, with a texture or a print."""
    outline: float = probability(change_outline)
    """Probability that the outline moves, as in a poor cut-out."""
    contrast: float = probability(change_contrast)
    """Probability that contrast and brightness change."""
    invert: float = probability(negate)
    """Probability of a negative."""
    background: float = probability(add_background)
    """Probability that a texture is put behind the garment."""
    blur: float = probability(gaussian_blur)
    """Probability of an elliptical Gaussian blur."""
    noise: float = probability(add_noise)
    """Probability of Gaussian or impulse noise."""

    def __post_init__(self) -> None:
        for declared in fields(self):
            value = getattr(self, declared.name)
            lowest, highest = declared.metadata["lowest"], declared.metadata["highest"]
            if not lowest <= value <= highest:  # NaN neither
                flag = f"--data.augmentation.{declared.name} {value}"
                raise InputError(f"{flag}: must lie between {lowest:g} and {highest:g}")
