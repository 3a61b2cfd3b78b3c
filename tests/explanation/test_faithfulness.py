"""Faithfulness against plain loops, the library's ROAD, and networks with known answers."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from fmnist.core.images import to_input
from fmnist.explanation import faithfulness
from fmnist.explanation.attribution import Explainer, upsample
from fmnist.explanation.faithfulness import (
    CENTRE,
    CURVES,
    MEASURES,
    PIXELS,
    RANDOM,
    STEPS,
    Explanation,
    measure,
)
from fmnist.models.loading import in_batches

COUNT = 12
COEFFICIENTS = np.eye(10, dtype=np.float32)[np.arange(COUNT) % 10]
PLACES = (0, 3, 7)  # images that are measured again


def exact_map(linear: nn.Sequential, factor: float = 1) -> Explanation:
    """Return the explanation that is exact for a linear network: what each pixel adds to the logit."""
    weights = factor * linear[1].weight.detach()
    return lambda images, coefficients: images[:, 0] * (coefficients @ weights).view(-1, 28, 28)


def for_predicted(network: nn.Module, images: np.ndarray) -> np.ndarray:
    return np.eye(10, dtype=np.float32)[in_batches(network, images).argmax(1)]


def plain_loop(
    network: nn.Module, explain: Explanation, images: np.ndarray, coefficients: np.ndarray
) -> tuple[Tensor, list[list[int]], Callable[[Tensor, int], float]]:
    """Return float images, each one's pixels in order of relevance, and the probability of its class."""
    batch = to_input(torch.from_numpy(images))
    maps = upsample(explain(batch, torch.from_numpy(coefficients))).flatten(1)
    orders = [sorted(range(PIXELS), key=row.__getitem__, reverse=True) for row in maps.tolist()]

    def probability(image: Tensor, place: int) -> float:
        with torch.no_grad():
            return network(image.view(1, 1, 28, 28)).softmax(1)[0, coefficients[place].argmax()].item()

    return batch, orders, probability


def test_deletion_and_insertion_are_those_of_a_plain_loop(cnn: nn.Module, pixels: np.ndarray) -> None:
    some = pixels[:COUNT]
    cnn.head.weight.data *= 20  # probabilities far from even
    explainer, coefficients = Explainer(cnn, "smoothgrad"), for_predicted(cnn, some)
    values = measure(cnn, {"map": explainer}, some, coefficients)["map"].values
    batch, orders, probability = plain_loop(cnn, explainer, some, coefficients)
    blurred = torch.from_numpy(gaussian_filter(batch.numpy(), (0, 0, faithfulness.BLUR, faithfulness.BLUR)))
    baselines = {"black": torch.zeros_like(batch), "blurred": blurred}
    for kind in CURVES:
        way, baseline = kind.split(", ")
        start, end = (batch, baselines[baseline]) if way == "deletion" else (baselines[baseline], batch)
        for place in PLACES:
            curve = []
            for step in range(STEPS + 1):
                image, changed = start[place].flatten().clone(), orders[place][: PIXELS * step // STEPS]
                image[changed] = end[place].flatten()[changed]
                curve.append(probability(image, place))
            area = sum((low + high) / 2 for low, high in itertools.pairwise(curve)) / STEPS
            assert values[kind][place] == pytest.approx(area, abs=1e-5)


def test_road_is_that_of_a_plain_loop(linear: nn.Sequential, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faithfulness, "ROAD_NOISE", 0)
    rough = np.random.default_rng(0).integers(0, 256, (COUNT, 28, 28), dtype=np.uint8)
    explain, coefficients = exact_map(linear), for_predicted(linear, rough)
    values = measure(linear, {"map": explain}, rough, coefficients)["map"].values["ROAD"]
    batch, orders, probability = plain_loop(linear, explain, rough, coefficients)
    for place in PLACES:
        gaps = []
        for share in faithfulness.ROAD_SHARES:
            most, least = (
                probability(without(batch[place], order[: round(share * PIXELS)]), place)
                for order in (orders[place], orders[place][::-1])
            )
            gaps.append((least - most) / 2)
        assert values[place] == pytest.approx(np.mean(gaps), abs=1e-5)
    assert np.abs(values).max() > 0.01


def without(image: Tensor, pixels: list[int]) -> Tensor:
    """Return an image (1, 28, 28) with pixels imputed by the library's sparse solver."""
    kept = torch.ones(PIXELS, dtype=torch.int)
    kept[pixels] = 0
    return NoisyLinearImputer(noise=0)(image, kept.view(28, 28))


def test_an_exact_map_has_no_infidelity_and_beats_the_references(
    linear: nn.Sequential, pixels: np.ndarray
) -> None:
    factors = {"exact": 1, "tenfold": 10, "opposite": -1}
    explanations = {name: exact_map(linear, factor) for name, factor in factors.items()}
    measured = measure(linear, explanations, pixels[:COUNT], COEFFICIENTS)
    assert measured["exact"].values["infidelity"].max() < 1e-6
    assert measured["tenfold"].values["infidelity"].max() < 1e-6  # its unit does not matter
    assert measured[RANDOM].values["infidelity"].min() > 1e-4
    for kind in ("deletion, black", "insertion, black"):
        sign = 1 if MEASURES[kind] == "higher" else -1
        means = {name: sign * result.values[kind].mean() for name, result in measured.items()}
        assert means["exact"] > max(means[RANDOM], means[CENTRE])
        assert means["opposite"] < min(means[RANDOM], means[CENTRE])
    assert (measured[CENTRE].values["sensitivity"] == 0).all()
    assert (measured["exact"].values["sensitivity"] > 0).all()
    assert (measured["exact"].values["sensitivity"] < 0.1).all()  # pixels of about 0.5 change by 0.02
    assert (measured[RANDOM].values["sensitivity"] > 0.5).all()


def test_measures_are_repeatable_and_the_areas_of_their_curves(cnn: nn.Module, pixels: np.ndarray) -> None:
    explanations = {"map": Explainer(cnn, "gradcam")}
    measured, again = (measure(cnn, explanations, pixels[:COUNT], COEFFICIENTS) for _ in range(2))
    assert list(measured) == ["map", RANDOM, CENTRE]
    for name, result in measured.items():
        for kind in MEASURES:
            np.testing.assert_array_equal(result.values[kind], again[name].values[kind])
        for kind, curve in result.curves.items():
            area = (curve[1:] + curve[:-1]).sum() / 2 / STEPS
            assert area == pytest.approx(result.values[kind].mean(), abs=1e-6)


def test_ties_are_broken_at_random_but_alike_for_every_method() -> None:
    maps = torch.zeros(2, 28, 28)
    ranks = faithfulness._ranks(maps, torch.Generator().manual_seed(0))
    assert (ranks.flatten(1).sort(1).values == torch.arange(PIXELS)).all()
    assert abs(ranks[0, 0, :14].float().mean().item() - PIXELS / 2) < 30  # the upper half comes no earlier
    maps[:, 20, 20], maps[:, 3, 3] = 1, -1
    ranks = faithfulness._ranks(maps, torch.Generator().manual_seed(0))
    assert (ranks[:, 0, 20, 20] == 0).all()
    assert (ranks[:, 0, 3, 3] == PIXELS - 1).all()


def test_only_removed_pixels_change_with_little_noise_and_a_constant_stays_constant(images: Tensor) -> None:
    images = images[:2]
    removed = torch.zeros_like(images, dtype=torch.bool)
    assert torch.equal(faithfulness.impute(images, removed), images)
    removed[:, :, 10:25, 3:24] = True
    imputed = faithfulness.impute(images, removed, torch.Generator().manual_seed(0))
    assert torch.equal(imputed[~removed], images[~removed])
    noise = (imputed - faithfulness.impute(images, removed))[removed]
    assert noise.std().item() == pytest.approx(faithfulness.ROAD_NOISE, rel=0.1)
    removed[:] = True
    removed[..., 3, 4] = False
    constant = torch.full_like(images, 0.7)
    torch.testing.assert_close(faithfulness.impute(constant, removed), constant, atol=1e-3, rtol=0)
