"""Measure how well a map shows what the network's answer depends on, by changing the image.

Every measure is taken of the 28 x 28 map for the predicted class, with the same images, pixels, squares and
noise for every method, so that methods can be compared in pairs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from captum.metrics import infidelity, sensitivity_max
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.images import to_input
from fmnist.explanation.attribution import TargetOutput, upsample
from fmnist.models.layers import evaluating

Explanation = Callable[[Tensor, Tensor], Tensor]
"""Of images (n, 1, 28, 28) and coefficients (n, 10); gives maps (n, h, w)."""

STEPS = 20  # of a deletion or insertion curve
BLUR = 4.0  # standard deviation of the blurred baseline, in pixels
ROAD_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
ROAD_NOISE = 0.01  # standard deviation of what is added to an imputed pixel, as in the paper's code
ROAD_RESIDUAL = 1e-5  # of the linear system, in units of a pixel
ROAD_WEIGHTS = torch.tensor([[1 / 12, 1 / 6, 1 / 12], [1 / 6, 0, 1 / 6], [1 / 12, 1 / 6, 1 / 12]])[None, None]
SQUARES, SMALLEST, LARGEST = 10, 3, 10  # blackened for infidelity; their sides, in pixels
PERTURBATIONS, RADIUS = 3, 0.02  # for sensitivity; the largest change of a pixel
SPREAD = 7.0  # standard deviation of the centre Gaussian, in pixels
PIXELS = IMAGE_SIZE * IMAGE_SIZE
BATCH, FORWARD = 50, 250  # images measured at once; through the network at once

MEASURES = {
    "deletion, black": "lower",
    "deletion, blurred": "lower",
    "insertion, black": "higher",
    "insertion, blurred": "higher",
    "ROAD": "higher",
    "infidelity": "lower",
    "sensitivity": "lower",
}
"""By measure, which values are better.

Deletion and insertion (Petsiuk et al. 2018, arXiv 1806.07421): mean probability of the class while pixels
are removed or added, the most relevant first; a removed pixel is black or blurred. ROAD (Rong et al. 2022,
arXiv 2202.00449): mean probability while pixels are imputed least relevant first, minus most relevant first,
halved. Infidelity (Yeh et al. 2019, arXiv 1901.09392): squared error of the map's sum over a square, in its
best multiple, as the drop of the logit when the square is black. Sensitivity (the same paper): largest
relative change of the map under invisible changes of the image.
"""
CURVES = tuple(MEASURES)[:4]
CENTRE, RANDOM = "centre Gaussian", "random map"


@dataclass(frozen=True)
class Faithfulness:
    """Measurements of one method.

    Attributes:
        values: By measure, float64 (N,), one number an image.
        curves: By deletion or insertion, float64 (STEPS + 1,), mean probability of the class.
    """

    values: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]


def measure(
    network: nn.Module,
    explanations: Mapping[str, Explanation],
    images: np.ndarray,
    coefficients: np.ndarray,
    progress: bool = False,
) -> dict[str, Faithfulness]:
    """Measure explanations, and a random map and a centre Gaussian to compare them with.

    Args:
        network: Maps images (n, 1, 28, 28) to logits (n, 10).
        explanations: By name.
        images: uint8 (N, 28, 28).
        coefficients: float32 (N, 10), one class an image.
        progress: Show a bar.
    """
    measured = {}
    for name, explain in {**explanations, RANDOM: random_map(), CENTRE: centre_gaussian}.items():
        batches = []
        bar = tqdm(desc=f"faithfulness, {name}", total=len(images), unit="image", disable=not progress)
        with evaluating(network), bar:
            for start in range(0, len(images), BATCH):
                part = slice(start, start + BATCH)
                generator = torch.Generator().manual_seed(start)
                batch = to_input(torch.from_numpy(images[part]))
                targets = torch.from_numpy(coefficients[part])
                batches.append(_measure_batch(network, explain, batch, targets, generator))
                bar.update(len(batch))
        results = {key: torch.cat([batch[key] for batch in batches]).double() for key in MEASURES}
        curves = {key: results[key] for key in CURVES}
        areas = {key: torch.trapezoid(curve, dx=1 / STEPS) for key, curve in curves.items()}
        measured[name] = Faithfulness(
            {key: value.numpy() for key, value in (results | areas).items()},
            {key: curve.mean(0).numpy() for key, curve in curves.items()},
        )
    return measured


def random_map() -> Explanation:
    """Return an explanation that draws a new map of uniform noise at every call, the same in every run."""
    generator = torch.Generator().manual_seed(0)
    return lambda images, coefficients: torch.rand(len(images), IMAGE_SIZE, IMAGE_SIZE, generator=generator)


def centre_gaussian(images: Tensor, coefficients: Tensor) -> Tensor:
    """Return maps that depend on no image: the nearer to the centre, the more relevant."""
    across = torch.exp(-((torch.arange(IMAGE_SIZE) - (IMAGE_SIZE - 1) / 2) ** 2) / (2 * SPREAD**2))
    return torch.outer(across, across).expand(len(images), IMAGE_SIZE, IMAGE_SIZE)


def impute(images: Tensor, removed: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Replace pixels by plausible values: ROAD's noisy linear imputation.

    A pixel becomes the weighted mean of its eight neighbours, which may be replaced pixels themselves. These
    means are a linear system for each image, whose matrix is symmetric and positive definite, so that the
    method of conjugate gradients solves all systems at once.

    Source: Rong et al. 2022, arXiv 2202.00449.

    Args:
        images: float32 (n, 1, H, W).
        removed: bool (n, 1, H, W); some pixel of each image stays.
        generator: Of the noise; None adds none.

    Returns:
        The images with the removed pixels replaced, float32 (n, 1, H, W).
    """
    unknown = removed.float()
    total = _weighted_neighbours(torch.ones_like(images))
    solution = torch.zeros_like(images)
    residual = unknown * _weighted_neighbours(images * (1 - unknown))
    direction, square = residual, _dot(residual, residual)
    for _ in range(images[0].numel()):
        if residual.abs().max() < ROAD_RESIDUAL:
            break
        product = unknown * (total * direction - _weighted_neighbours(direction))
        step = square / _dot(direction, product).clamp_min(1e-30)
        solution, residual = solution + step * direction, residual - step * product
        previous, square = square, _dot(residual, residual)
        direction = residual + square / previous.clamp_min(1e-30) * direction
    if generator is not None:
        solution = solution + ROAD_NOISE * torch.randn(images.shape, generator=generator)
    return torch.where(removed, solution, images)


def _weighted_neighbours(images: Tensor) -> Tensor:
    """Return the weighted sum of every pixel's neighbours within the image."""
    return F.conv2d(images, ROAD_WEIGHTS.to(images), padding=1)


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum((1, 2, 3), keepdim=True)


def _measure_batch(
    network: nn.Module, explain: Explanation, images: Tensor, coefficients: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    maps = upsample(explain(images, coefficients))
    ranks = _ranks(maps, generator)
    blurred = torch.from_numpy(gaussian_filter(images.numpy(), (0, 0, BLUR, BLUR)))
    black = torch.zeros_like(images)

    def probability(inputs: Tensor) -> Tensor:  # (k * n, 1, 28, 28) to (n, k)
        with torch.inference_mode():
            logits = torch.cat([network(part) for part in inputs.split(FORWARD)])
            probabilities = logits.softmax(1).view(-1, *coefficients.shape)
        return (probabilities * coefficients).sum(2).T

    def curve(start: Tensor, end: Tensor) -> Tensor:
        changed = [ranks < PIXELS * step // STEPS for step in range(STEPS + 1)]
        return probability(torch.cat([torch.where(where, end, start) for where in changed]))

    return {
        "deletion, black": curve(images, black),
        "deletion, blurred": curve(images, blurred),
        "insertion, black": curve(black, images),
        "insertion, blurred": curve(blurred, images),
        "ROAD": _road(probability, images, ranks, generator),
        "infidelity": _infidelity(TargetOutput(network), images, coefficients, maps, generator),
        "sensitivity": _sensitivity(explain, images, coefficients, generator),
    }


def _ranks(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Return each pixel's rank, (n, 1, 28, 28), the most relevant being 0; ties are broken at random."""
    ties = torch.rand(PIXELS, generator=generator).argsort()
    order = ties[maps.flatten(1)[:, ties].argsort(dim=1, descending=True, stable=True)]
    return order.argsort(dim=1).view(-1, 1, IMAGE_SIZE, IMAGE_SIZE)


def _road(
    probability: Callable[[Tensor], Tensor], images: Tensor, ranks: Tensor, generator: torch.Generator
) -> Tensor:
    counts = [round(share * PIXELS) for share in ROAD_SHARES]
    most = torch.cat([ranks < count for count in counts])
    least = torch.cat([ranks >= PIXELS - count for count in counts])
    repeated = images.repeat(len(counts), 1, 1, 1)
    first, last = (probability(impute(repeated, removed, generator)) for removed in (most, least))
    return (last - first).mean(1) / 2


def _infidelity(
    output: TargetOutput, images: Tensor, coefficients: Tensor, maps: Tensor, generator: torch.Generator
) -> Tensor:
    def blacken(inputs: Tensor) -> tuple[Tensor, Tensor]:
        sides = torch.randint(SMALLEST, LARGEST + 1, (len(inputs), 1), generator=generator)
        corners = torch.rand(len(inputs), 2, generator=generator) * (IMAGE_SIZE + 1 - sides)
        steps = torch.arange(IMAGE_SIZE) - corners.floor()[..., None]  # (n, 2, 28)
        inside = (steps >= 0) & (steps < sides[..., None])
        square = (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None].float()
        return square, inputs * (1 - square)

    return infidelity(
        output, blacken, images, maps[:, None], additional_forward_args=coefficients,
        n_perturb_samples=SQUARES, normalize=True,
    )  # fmt: skip


def _sensitivity(
    explain: Explanation, images: Tensor, coefficients: Tensor, generator: torch.Generator
) -> Tensor:
    def maps(inputs: Tensor | tuple[Tensor], additional_forward_args: tuple[Tensor]) -> tuple[Tensor]:
        batch = inputs[0] if isinstance(inputs, tuple) else inputs
        return (upsample(explain(batch, additional_forward_args[0])),)

    def perturb(inputs: Tensor) -> Tensor:
        noise = torch.rand(inputs.shape, generator=generator) * 2 - 1
        return (inputs + RADIUS * noise).clamp(0, 1)

    return sensitivity_max(
        maps, images, perturb, n_perturb_samples=PERTURBATIONS, additional_forward_args=(coefficients,)
    )
