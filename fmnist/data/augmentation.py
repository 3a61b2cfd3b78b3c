"""Augmentation of whole batches on their device, one set of random parameters per image.

Every random number is a pure function of (seed, epoch, index of the image in its file), so an image
is augmented alike whatever the batch size, the number of processes, or the restarts before it.
"""

from dataclasses import dataclass, fields
from itertools import chain

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fmnist.data import disturbances
from fmnist.errors import InputError

SIZE = 28  # height and width of an image, pixels
SMALLEST_ERASED_AREA = 0.02
SMALLEST_SIZE = 0.45
UNIFORMS = (
    *("shift_y", "shift_x", "flip", "rotate", "scale"),
    *("erase", "erase_area", "erase_aspect", "erase_y", "erase_x"),
    *("mix_kind", "mix_partner", "mix_y", "mix_x"),
)
MORE_UNIFORMS = (
    *("warp", "shear", "shrink", "shrink_size", "shrink_y", "shrink_x", "spare"),
    *disturbances.UNIFORMS,
)
"""From a stream of their own, so that the augmentations above draw the same numbers with and without them."""
CHANCES = ("erase", "warp", "shrink", *disturbances.NAMES)
"""What happens to an image with a probability."""


@dataclass(frozen=True)
class Augmentation:
    """Switch and strength of each augmentation; everything is off by default.

    Args:
        shift: Largest shift in pixels, up, down, left and right; what is uncovered is black.
        flip: Mirror every image horizontally with probability one half.
        rotate: Largest rotation in degrees, either way.
        scale: Largest relative change of size: 0.1 draws a factor between 0.9 and 1.1.
        erase: Probability that a rectangle is blackened (Zhong et al. 2020, "Random Erasing Data
            Augmentation", algorithm 1, aspect ratio 0.3 to 3.3).
        erase_area: Largest share of the image that is erased, the smallest being 0.02.
        mixup: Alpha of mixup's Beta distribution (Zhang et al. 2018, "mixup"); 0 is off.
        cutmix: Alpha of CutMix's Beta distribution (Yun et al. 2019, "CutMix"); 0 is off. With both,
            every image takes one of the two at random.
        shear: Largest shear, either way: the pixels that a row moves for every row it lies off the middle.
        warp: Probability that an image is rotated, scaled and sheared at all.
        shrink: Probability that an image is made smaller, down to 0.45 of its size, and put anywhere in
            the frame.
        contrast: Probability that grey levels are stretched or flattened, and lifted.
        invert: Probability of a negative.
        background: Probability that a texture is put behind the garment.
        blur: Probability of a blur.
        noise: Probability of noise.
        spare: Probability that an image is spared everything but shift, flip and mixing.

    Raises:
        InputError: A strength lies outside its range.
    """

    shift: int = 0
    flip: bool = False
    rotate: float = 0.0
    scale: float = 0.0
    erase: float = 0.0
    erase_area: float = 0.33
    mixup: float = 0.0
    cutmix: float = 0.0
    shear: float = 0.0
    warp: float = 1.0
    shrink: float = 0.0
    contrast: float = 0.0
    invert: float = 0.0
    background: float = 0.0
    blur: float = 0.0
    noise: float = 0.0
    spare: float = 0.0

    def __post_init__(self) -> None:
        highest = {"shift": SIZE - 1, "rotate": 180, "scale": 0.9, "mixup": 100, "cutmix": 100, "shear": 2}
        for field in fields(self):
            value, high = getattr(self, field.name), highest.get(field.name, 1)
            low = SMALLEST_ERASED_AREA if field.name == "erase_area" else 0
            if not low <= value <= high:
                raise InputError(f"--data.{field.name} {value}: must lie between {low} and {high}")

    @property
    def mixes(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    @property
    def warps(self) -> bool:
        return any((self.rotate, self.scale, self.shear, self.shrink))

    @property
    def disturbs(self) -> bool:
        return any(self.disturbances.values())

    @property
    def disturbances(self) -> dict[str, float]:
        """The probability of each disturbance."""
        return {name: getattr(self, name) for name in disturbances.NAMES}


class Augmenter:
    """Cuts augmented batches out of a data set in memory.

    Args:
        images: uint8 (N, 28, 28), on the device where batches are wanted.
        labels: int64 (N,), on the same device.
        augmentation: What to do.
        partners: int64 (n,), indices of the images that may be mixed into others: the training set's.
        seed: Seed of all random parameters.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, augmentation: Augmentation, partners: Tensor, seed: int
    ) -> None:
        pad = augmentation.shift
        padded = F.pad(images, (pad, pad, pad, pad))
        # a view (N, 2 * pad + 1, 2 * pad + 1, 28, 28): every shift of every image, without a copy
        self.windows = padded.unfold(1, SIZE, 1).unfold(2, SIZE, 1)
        self.labels = labels
        self.augmentation = augmentation
        self.partners = partners.to(images.device)
        self.seed = seed
        self.streams: dict[int, tuple[str, ...]] = {1: UNIFORMS}
        if augmentation.warps or augmentation.disturbs or augmentation.spare:
            self.streams[4] = MORE_UNIFORMS
        if augmentation.disturbs:
            self.banks = disturbances.Banks.draw(seed, labels.device)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw the random parameters of every image for ``epoch``, counted from 0."""
        size = len(self.labels)
        # (N, 14 or 46): one row per image of the file, whether it is in the training set or not
        uniforms = [
            np.random.default_rng([self.seed, epoch, stream]).random((size, len(names)), dtype=np.float32)
            for stream, names in self.streams.items()
        ]
        self.uniforms = torch.from_numpy(np.concatenate(uniforms, axis=1)).to(self.labels.device)
        if self.augmentation.mixes:
            kept = [
                # mixup's alpha moves its generator on by an unknown number of draws, so CutMix has its own
                np.random.default_rng([self.seed, epoch, stream]).beta(alpha or 1, alpha or 1, size)
                for stream, alpha in ((2, self.augmentation.mixup), (3, self.augmentation.cutmix))
            ]
            # (N, 2): the share of the image that mixup, or CutMix, keeps
            self.kept = torch.from_numpy(np.stack(kept, axis=1).astype(np.float32)).to(self.labels.device)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the augmented images at ``indices``, int64 (B,).

        Returns:
            float32 (B, 1, 28, 28) in [0, 1], and int64 labels (B,), or float32 class shares (B, 10)
            where images are mixed.
        """
        u = self._parameters(indices)
        images, labels = self._views(indices, u), self.labels[indices]
        if self.augmentation.mixes:
            partners = self.partners[(u["mix_partner"] * len(self.partners)).long()]
            others = self._views(partners, self._parameters(partners))
            images, share = self._mix(images, others, self.kept[indices], u)
            share = share[:, None]
            labels = share * F.one_hot(labels, 10) + (1 - share) * F.one_hot(self.labels[partners], 10)
        if self.augmentation.erase:
            images = self._erase(images, u)
        if self.augmentation.disturbs:
            images = disturbances.disturb(images, self.augmentation.disturbances, self.banks, u)
        return images, labels

    def _parameters(self, indices: Tensor) -> dict[str, Tensor]:
        names = chain.from_iterable(self.streams.values())
        u = dict(zip(names, self.uniforms[indices].unbind(1), strict=True))
        if self.augmentation.spare:
            spared = u["spare"] < self.augmentation.spare
            u |= {name: u[name].masked_fill(spared, 1.0) for name in CHANCES}  # below no probability
        return u

    def _views(self, indices: Tensor, u: dict[str, Tensor]) -> Tensor:
        """Return shifted, flipped, rotated and scaled images, float32 (B, 1, 28, 28) in [0, 1]."""
        positions = 2 * self.augmentation.shift + 1
        images = self.windows[indices, (u["shift_y"] * positions).long(), (u["shift_x"] * positions).long()]
        if self.augmentation.flip:
            images = torch.where((u["flip"] < 0.5)[:, None, None], images.flip(2), images)
        images = images[:, None].float().div_(255)
        if self.augmentation.warps:
            images = self._warp(images, u)
        return images

    def _warp(self, images: Tensor, u: dict[str, Tensor]) -> Tensor:
        """Shear, scale and rotate around the centre, shrink, and move into the room that this leaves."""
        strengths, warped = self.augmentation, u["warp"] < self.augmentation.warp
        angle = torch.deg2rad((2 * u["rotate"] - 1) * strengths.rotate) * warped
        room = (1 - SMALLEST_SIZE) * u["shrink_size"] * (u["shrink"] < strengths.shrink)
        size = (1 + (2 * u["scale"] - 1) * strengths.scale * warped) * (1 - room)
        shear = (2 * u["shear"] - 1) * strengths.shear * warped
        cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
        linear = torch.stack([cos - shear * sin, sin + shear * cos, -sin, cos], 1).view(-1, 2, 2)
        moved = torch.stack([(2 * u["shrink_x"] - 1) * room, (2 * u["shrink_y"] - 1) * room], 1)[:, :, None]
        # (B, 2, 3): the inverse map of (x, y) in [-1, 1], from where a pixel lands to where it is read
        theta = torch.cat([linear, -linear @ moved], 2)
        grid = F.affine_grid(theta, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)

    def _mix(
        self, images: Tensor, others: Tensor, kept: Tensor, u: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the mixed images and the share (B,) of each that is its own."""
        both = self.augmentation.mixup > 0 and self.augmentation.cutmix > 0
        cuts = (
            u["mix_kind"] < 0.5
            if both
            else torch.full_like(u["mix_kind"], self.augmentation.cutmix > 0).bool()
        )
        side = SIZE * torch.sqrt(1 - kept[:, 1])
        box = _rectangles(side, side, u["mix_y"], u["mix_x"]) & cuts[:, None, None, None]
        share = torch.where(cuts, 1 - box.float().mean((1, 2, 3)), kept[:, 0])
        weight = torch.where(cuts, torch.ones_like(share), share)[:, None, None, None]
        return torch.where(box, others, weight * images + (1 - weight) * others), share

    def _erase(self, images: Tensor, u: dict[str, Tensor]) -> Tensor:
        largest = self.augmentation.erase_area
        area = SIZE**2 * (SMALLEST_ERASED_AREA + u["erase_area"] * (largest - SMALLEST_ERASED_AREA))
        aspect = torch.exp((2 * u["erase_aspect"] - 1) * float(np.log(3.3)))
        box = _rectangles(torch.sqrt(area * aspect), torch.sqrt(area / aspect), u["erase_y"], u["erase_x"])
        return images.masked_fill_(box & (u["erase"] < self.augmentation.erase)[:, None, None, None], 0.0)


def _rectangles(height: Tensor, width: Tensor, u_y: Tensor, u_x: Tensor) -> Tensor:
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
