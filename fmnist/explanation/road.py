"""Removing pixels so that their absence does not show (ROAD, Rong et al. 2022, arXiv 2202.00449)."""

import torch
from torch import Tensor
from torch.nn import functional as F

NOISE = 0.01  # standard deviation of what is added to an imputed pixel, as in the paper's code
WEIGHTS = torch.tensor([[1 / 12, 1 / 6, 1 / 12], [1 / 6, 0, 1 / 6], [1 / 12, 1 / 6, 1 / 12]])[None, None]


def impute(
    images: Tensor, removed: Tensor, generator: torch.Generator | None = None, tolerance: float = 1e-5
) -> Tensor:
    """Replace pixels by weighted means of their eight neighbours, which may be replaced pixels themselves.

    These means are one linear system an image; its matrix is symmetric and positive definite, so that
    conjugate gradients solve all images' systems at once.

    Args:
        images: float32 (n, 1, H, W).
        removed: bool (n, 1, H, W); some pixel of each image stays.
        generator: Of the noise; None adds none.
        tolerance: Largest residual left, in units of a pixel.

    Returns:
        The images with the removed pixels replaced, float32 (n, 1, H, W).
    """
    unknown = removed.float()
    total = _neighbours(torch.ones_like(images))
    solution = torch.zeros_like(images)
    residual = unknown * _neighbours(images * (1 - unknown))
    direction, square = residual, _dot(residual, residual)
    for _ in range(images[0].numel()):
        if residual.abs().max() < tolerance:
            break
        image_of = unknown * (total * direction - _neighbours(direction))
        step = square / _dot(direction, image_of).clamp_min(1e-30)
        solution, residual = solution + step * direction, residual - step * image_of
        previous, square = square, _dot(residual, residual)
        direction = residual + square / previous.clamp_min(1e-30) * direction
    if generator is not None:
        solution = solution + NOISE * torch.randn(images.shape, generator=generator)
    return torch.where(removed, solution, images)


def _neighbours(images: Tensor) -> Tensor:
    """Return the weighted sum of every pixel's neighbours within the image."""
    return F.conv2d(images, WEIGHTS.to(images), padding=1)


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum((1, 2, 3), keepdim=True)
