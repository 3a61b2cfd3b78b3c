"""Random colours and surfaces, in batches: cloth, sheets, floors, carpets, walls."""

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy import fft
from torch import Tensor
from torch.nn import functional as F

from fmnist.data.augmentation import per_image
from fmnist.pictures.segmentation import SIDE

BANK = 96  # noise fields, of which each picture takes random windows
BANK_SIZE = 256  # pixels
TAU = 2 * math.pi


def draw_noise(generator: np.random.Generator, number: int) -> np.ndarray:
    """Draw a periodic field (256, 256), standardised: smooth, fractal, folds, or spots, in turn."""
    frequency = np.hypot(fft.fftfreq(BANK_SIZE)[:, None], fft.rfftfreq(BANK_SIZE)) + 1e-6
    spectrum = fft.rfft2(generator.standard_normal((BANK_SIZE, BANK_SIZE)))

    def smooth(scale: float) -> np.ndarray:
        return np.exp(-2 * (math.pi * scale * frequency) ** 2)

    kind = number % 4
    if kind == 0:
        field = fft.irfft2(spectrum * smooth(generator.uniform(2, 12)))
    elif kind == 1:
        field = fft.irfft2(spectrum / frequency ** generator.uniform(0.8, 1.8))
    elif kind == 2:
        field = fft.irfft2(spectrum * smooth(generator.uniform(4, 14)))
        field = -np.abs(field - field.mean())
    else:
        field = fft.irfft2(spectrum * smooth(generator.uniform(2, 7)) * frequency)
        field = np.tanh(3 * (field / field.std() - generator.uniform(0, 1)))
    return ((field - field.mean()) / field.std()).astype(np.float32)


class Surfaces:
    """Draws surfaces of SIDE x SIDE pixels; the same ones in the same order for the same seed."""

    def __init__(self, seed: int) -> None:
        generator = np.random.default_rng(seed)
        self.bank = torch.from_numpy(np.stack([draw_noise(generator, k) for k in range(BANK)]))[:, None]
        self.generator = torch.Generator().manual_seed(seed)
        position = torch.linspace(-1, 1, SIDE)
        self.y, self.x = torch.meshgrid(position, position, indexing="ij")
        self.grid = torch.stack([self.x, self.y], -1)  # (SIDE, SIDE, 2), as grid_sample takes it

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return numbers that are uniform between two values, of a shape."""
        return low + (high - low) * torch.rand(*shape, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        """Return numbers of the standard normal distribution, of a shape."""
        return torch.randn(*shape, generator=self.generator)

    def chance(self, probability: float, count: int) -> Tensor:
        """Return which of ``count`` pictures something happens to, bool (count,)."""
        return torch.rand(count, generator=self.generator) < probability

    def sometimes(
        self, probability: float, pictures: Tensor, change: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """Replace a random share of a batch by ``change(the share, its positions in the batch)``."""
        chosen = self.chance(probability, len(pictures)).nonzero()[:, 0]
        if not len(chosen):
            return pictures
        return pictures.index_copy(0, chosen, change(pictures[chosen], chosen))

    def angle(self, count: int, upright: float) -> Tensor:
        """Return angles (count,); a share of them are along the rows or columns."""
        angles = self.uniform(0, math.pi, count)
        square = torch.where(self.chance(0.5, count), 0.0, math.pi / 2)
        return torch.where(self.chance(upright, count), square, angles)

    def noise(
        self, count: int, low: float = 0.15, high: float = 1.2, stretch: float = 3.0, upright: float = 0.5
    ) -> Tensor:
        """Return random windows of random fields, (count, 1, SIDE, SIDE).

        Args:
            count: Number of windows.
            low: Smallest side of a window, relative to the field's.
            high: Largest side.
            stretch: Largest ratio of the window's sides.
            upright: Share of the windows that are not rotated.
        """
        fields = torch.randint(BANK, (count,), generator=self.generator)
        zoom = low * (high / low) ** self.uniform(0, 1, count)
        ratio = stretch ** self.uniform(-1, 1, count)
        angle = self.angle(count, upright)
        cos, sin = torch.cos(angle), torch.sin(angle)
        wide, tall = zoom * ratio.sqrt(), zoom / ratio.sqrt()
        matrix = torch.stack([cos * wide, -sin * tall, sin * wide, cos * tall], 1).view(-1, 2, 2)
        places = self.grid.reshape(1, -1, 2) @ matrix.transpose(1, 2) + self.uniform(-1, 1, count, 1, 2)
        places = ((places + 1) % 2 - 1).view(count, SIDE, SIDE, 2)  # the fields are periodic
        return F.grid_sample(self.bank[fields], places, padding_mode="border", align_corners=False)

    def colours(self, count: int) -> Tensor:
        """Return colours (count, 3, 1, 1), one half of them nearly grey, many nearly white or black."""
        hue, saturation = self.uniform(0, 6, count), self.uniform(0, 1, count) ** 0.8
        value = self.uniform(0.15, 1, count)
        saturation = torch.where(self.chance(0.5, count), 0.15 * saturation, saturation)
        kind = self.uniform(0, 1, count)
        value = torch.where(kind < 0.25, self.uniform(0.75, 1, count), value)
        value = torch.where((kind >= 0.25) & (kind < 0.5), self.uniform(0.03, 0.25, count), value)
        sextant = torch.stack([(shift + hue) % 6 for shift in (5, 3, 1)], 1)
        ramp = torch.minimum(sextant, 4 - sextant).clamp(0, 1)  # from HSV to RGB
        return (value[:, None] * (1 - saturation[:, None] * ramp))[:, :, None, None]

    def plain(self, count: int) -> Tensor:
        """Return surfaces of one colour, (count, 3, SIDE, SIDE)."""
        return self.colours(count).repeat(1, 1, SIDE, SIDE)

    def textured(self, count: int) -> Tensor:
        """Return surfaces with a texture: clouds, stripes, checks, boards, spots, or nearly plain."""
        colour = self.colours(count)
        spread = per_image(self.uniform(0, 1, count) ** 1.5)
        second, third = (colour + spread * (self.colours(count) - colour) for _ in range(2))
        clouds = self.noise(count)
        wobble = 0.1 * self.noise(count, 0.1, 0.5) * per_image(self.uniform(0, 1, count) ** 3)
        angle, phase = self.angle(count, 0.7), per_image(self.uniform(0, TAU, count))
        cos, sin = per_image(torch.cos(angle)), per_image(torch.sin(angle))
        frequency = torch.exp(self.uniform(math.log(4), math.log(60), count))
        along = per_image(frequency) * (cos * self.x + sin * self.y + wobble) + phase
        across = frequency * torch.exp(self.uniform(-1, 1, count))
        across = per_image(across) * (cos * self.y - sin * self.x + wobble)
        hardness = per_image(torch.exp(self.uniform(0, 4, count)))
        width = per_image(self.uniform(-0.8, 0.8, count))
        stripes = torch.sigmoid(hardness * (torch.sin(along) - width))
        checks = (stripes + torch.sigmoid(hardness * (torch.sin(across) - width))) / 2
        board = torch.floor(along / math.pi)
        tone = torch.frac(torch.sin(12.9898 * board + phase) * 43758.5453).abs()  # of each board
        boards = (0.7 * tone + 0.2 * clouds).clamp(0, 1)
        soft = torch.sigmoid(clouds * per_image(torch.exp(self.uniform(-1, 3.5, count))))
        spots = (clouds > per_image(self.uniform(-1, 1, count))).float()
        kinds = (soft, stripes, checks, boards, torch.zeros_like(soft), spots)
        ends = (0.2, 0.35, 0.5, 0.7, 0.85, 1.0)
        kind = per_image(self.uniform(0, 1, count))
        share = spots
        for texture, end in reversed(list(zip(kinds, ends, strict=True))):
            share = torch.where(kind < end, texture, share)
        surface = colour + (second - colour) * share
        specks = 8 * (self.noise(count, 0.05, 0.5) - per_image(self.uniform(0.2, 1.5, count)))
        specks = torch.sigmoid(specks) * per_image(self.chance(0.35, count).float())
        surface = surface + (third - surface) * specks
        seams = (torch.frac(along / math.pi).abs() < per_image(self.uniform(0.02, 0.12, count))).float()
        is_board = ((kind >= 0.5) & (kind < 0.7)).float()
        surface = surface * (1 - 0.6 * is_board * seams * per_image(self.uniform(0, 1, count)))
        folds = 0.25 * per_image(self.uniform(0, 1, count) ** 2) * self.noise(count, 0.08, 0.8, 4)
        grain = 0.15 * per_image(self.uniform(0, 1, count) ** 3) * self.noise(count, 0.8, 2.5)
        return (surface * (1 + folds + grain)).clamp(0, 1)

    def cloths(self, textured: float, count: int) -> Tensor:
        """Return plain surfaces, a share of them textured."""
        return self.sometimes(textured, self.plain(count), lambda part, _: self.textured(len(part)))
