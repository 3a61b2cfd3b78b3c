"""How well a map tells what the network's answer depends on, measured by changing the image.

Every measure is taken of the 28 x 28 map of the class that is predicted, on the same images, pixels, squares
and noise for every method, so that methods are compared in pairs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from captum.metrics import infidelity, sensitivity_max
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from tqdm import tqdm

from fmnist.explanation.attribution import SIDE, evaluating, to_door, upsample
from fmnist.explanation.methods import Score
from fmnist.explanation.road import impute

Explanation = Callable[[Tensor, Tensor], Tensor]
"""Of images (n, 1, 28, 28) and coefficients (n, 10); gives maps (n, h, w)."""

STEPS = 20  # of a deletion or insertion curve
ROAD_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
BLUR = 4.0  # standard deviation of the blurred baseline, in pixels
SQUARES, SMALLEST, LARGEST = 10, 3, 10  # blackened for infidelity; their sides, in pixels
SHAKES, RADIUS = 3, 0.02  # perturbations for sensitivity, and the largest change of a pixel
SPREAD = 7.0  # standard deviation of the centre Gaussian, in pixels
PIXELS = SIDE * SIDE
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
"""What is better. Deletion and insertion (Petsiuk et al. 2018, arXiv 1806.07421): mean probability of the
class while pixels go, or come, the most relevant first, and what they give way to is black or the blurred
image. ROAD: mean probability while imputed pixels go least relevant first, minus most relevant first, halved.
Infidelity (Yeh et al. 2019, arXiv 1901.09392): squared error of the map's sum over a square, in its best
multiple, as the drop of the logit when the square is black. Sensitivity (the same paper): largest relative
change of the map under changes of the image that cannot be seen."""
CURVES = tuple(MEASURES)[:4]
CENTRE, RANDOM = "centre Gaussian", "random map"


@dataclass(frozen=True)
class Faithfulness:
    """What was measured of one method.

    Attributes:
        scores: By measure, float64 (N,), one number an image.
        curves: By deletion or insertion, float64 (STEPS + 1,), mean probability of the class.
    """

    scores: dict[str, np.ndarray]
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
        rows = []
        with (
            evaluating(network),
            tqdm(total=len(images), desc=f"faithfulness, {name}", unit="image", disable=not progress) as bar,
        ):
            for start in range(0, len(images), BATCH):
                part = slice(start, start + BATCH)
                generator = torch.Generator().manual_seed(start)
                batch, signs = to_door(images[part]), torch.from_numpy(coefficients[part])
                rows.append(_measure_batch(network, explain, batch, signs, generator))
                bar.update(len(batch))
        values = {key: torch.cat([row[key] for row in rows]).double() for key in MEASURES}
        curves = {key: values[key] for key in CURVES}
        scores = values | {key: torch.trapezoid(curve, dx=1 / STEPS) for key, curve in curves.items()}
        measured[name] = Faithfulness(
            {key: score.numpy() for key, score in scores.items()},
            {key: curve.mean(0).numpy() for key, curve in curves.items()},
        )
    return measured


def random_map() -> Explanation:
    """Return an explanation that draws a new map of uniform noise at every call, the same in every run."""
    generator = torch.Generator().manual_seed(0)
    return lambda images, coefficients: torch.rand(len(images), SIDE, SIDE, generator=generator)


def centre_gaussian(images: Tensor, coefficients: Tensor) -> Tensor:
    """Return the explanation that looks at no image: what is in the middle matters."""
    across = torch.exp(-((torch.arange(SIDE) - (SIDE - 1) / 2) ** 2) / (2 * SPREAD**2))
    return torch.outer(across, across).expand(len(images), SIDE, SIDE)


def _measure_batch(
    network: nn.Module, explain: Explanation, images: Tensor, signs: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    maps = upsample(explain(images, signs))
    ranks = _ranks(maps, generator)
    blurred = torch.from_numpy(gaussian_filter(images.numpy(), (0, 0, BLUR, BLUR)))
    black = torch.zeros_like(images)

    def probability(inputs: Tensor) -> Tensor:  # (k * n, 1, 28, 28) to (n, k)
        with torch.inference_mode():
            logits = torch.cat([network(part) for part in inputs.split(FORWARD)])
            shares = logits.softmax(1).view(-1, *signs.shape)
        return (shares * signs).sum(2).T

    def curve(start: Tensor, end: Tensor) -> Tensor:
        changed = [ranks < PIXELS * step // STEPS for step in range(STEPS + 1)]
        return probability(torch.cat([torch.where(where, end, start) for where in changed]))

    return {
        "deletion, black": curve(images, black),
        "deletion, blurred": curve(images, blurred),
        "insertion, black": curve(black, images),
        "insertion, blurred": curve(blurred, images),
        "ROAD": _road(probability, images, ranks, generator),
        "infidelity": _infidelity(Score(network), images, signs, maps, generator),
        "sensitivity": _sensitivity(explain, images, signs, generator),
    }


def _ranks(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Return each pixel's place, (n, 1, 28, 28), the most relevant being 0; ties fall at random."""
    ties = torch.rand(PIXELS, generator=generator).argsort()
    order = ties[maps.flatten(1)[:, ties].argsort(dim=1, descending=True, stable=True)]
    return order.argsort(dim=1).view(-1, 1, SIDE, SIDE)


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
    score: Score, images: Tensor, signs: Tensor, maps: Tensor, generator: torch.Generator
) -> Tensor:
    def blacken(inputs: Tensor) -> tuple[Tensor, Tensor]:
        sides = torch.randint(SMALLEST, LARGEST + 1, (len(inputs), 1), generator=generator)
        corners = torch.rand(len(inputs), 2, generator=generator) * (SIDE + 1 - sides)
        steps = torch.arange(SIDE) - corners.floor()[..., None]  # (n, 2, 28)
        inside = (steps >= 0) & (steps < sides[..., None])
        square = (inside[:, 0, :, None] & inside[:, 1, None, :])[:, None].float()
        return square, inputs * (1 - square)

    return infidelity(
        score, blacken, images, maps[:, None], additional_forward_args=signs,
        n_perturb_samples=SQUARES, normalize=True,
    )  # fmt: skip


def _sensitivity(explain: Explanation, images: Tensor, signs: Tensor, generator: torch.Generator) -> Tensor:
    def maps(inputs: Tensor | tuple[Tensor], additional_forward_args: tuple[Tensor]) -> tuple[Tensor]:
        batch = inputs[0] if isinstance(inputs, tuple) else inputs
        return (upsample(explain(batch, additional_forward_args[0])),)

    def shake(inputs: Tensor) -> Tensor:
        noise = torch.rand(inputs.shape, generator=generator) * 2 - 1
        return (inputs + RADIUS * noise).clamp(0, 1)

    return sensitivity_max(maps, images, shake, n_perturb_samples=SHAKES, additional_forward_args=(signs,))
