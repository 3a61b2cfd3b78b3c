"""Masked gradients, the default map: what pixels add to an answer while parts of the image are removed."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn
from torch.nn import functional as F

from fmnist.core.constants import IMAGE_SIZE

MASKS = 32  # half of them for each of the two ways to remove a pixel
CELLS = 14  # across a mask; a cell stays or goes as a whole, with soft edges
BLUR = 4.0  # standard deviation of the image that replaces removed pixels, in pixels
SMOOTHING = 0.7  # standard deviation of the last step, in pixels; chosen with CELLS on validation images


class MaskedGradients(nn.Module):
    """The mean gain of an output by every pixel while random parts of the image are removed.

    A removed part is black under half of the masks and blurred under the others, because neither alone shows
    everything: black changes nothing in the background, and a blur nothing in flat cloth. As in integrated
    gradients (Sundararajan et al. 2017, arXiv 1703.01365), a gain is the change of the pixel times its
    gradient; the masks, which keep half of the image, are those of RISE (Petsiuk et al. 2018, arXiv
    1806.07421).

    Args:
        output: The number to explain, see ``attribution.TargetOutput``.
    """

    masks: Tensor
    blur: Tensor
    smoothing: Tensor

    def __init__(self, output: nn.Module) -> None:
        super().__init__()
        self.output = output
        # all are buffers, so that an export holds them
        self.register_buffer("masks", _masks())
        self.register_buffer("blur", _gaussian(BLUR))
        self.register_buffer("smoothing", _gaussian(SMOOTHING))

    def forward(self, images: Tensor, coefficients: Tensor) -> Tensor:
        """Return maps with signs, float32 (n, 28, 28), of images (n, 1, 28, 28) and coefficients (n, 10)."""
        blurred = self.blur @ images @ self.blur.T
        baselines = torch.stack([torch.zeros_like(images), blurred], 1)  # (n, 2, 1, 28, 28)
        baselines = baselines.repeat_interleave(MASKS // 2, 1)  # (n, MASKS, 1, 28, 28)
        changes = images[:, None] - baselines
        inputs = (baselines + changes * self.masks).flatten(0, 1).detach().requires_grad_()
        output = self.output(inputs, coefficients.repeat_interleave(MASKS, 0)).sum()
        (gradients,) = torch.autograd.grad(output, inputs)
        gains = (gradients.view(changes.shape) * changes).mean((1, 2))
        return self.smoothing @ gains @ self.smoothing.T


def _masks() -> Tensor:
    """Return shares of the pixels that stay, float32 (MASKS, 1, 28, 28); after each mask comes its opposite.

    Opposites give every pixel a mean of exactly one half, with fewer masks than chance would.
    """
    generator = torch.Generator().manual_seed(0)
    count, side = MASKS // 2, IMAGE_SIZE // CELLS
    cells = (torch.rand(count, 1, CELLS + 1, CELLS + 1, generator=generator) < 0.5).float()
    large = F.interpolate(cells, scale_factor=side, mode="bilinear")
    shifts = torch.randint(side, (count, 2), generator=generator).tolist()
    masks = [
        mask[:, top : top + IMAGE_SIZE, left : left + IMAGE_SIZE]
        for mask, (top, left) in zip(large, shifts, strict=True)
    ]
    return torch.stack([each for mask in masks for each in (mask, 1 - mask)])


def _gaussian(deviation: float) -> Tensor:
    """Return the matrix (28, 28) that blurs the columns of an image as scipy does."""
    return torch.from_numpy(gaussian_filter1d(np.eye(IMAGE_SIZE, dtype=np.float32), deviation, axis=0))
