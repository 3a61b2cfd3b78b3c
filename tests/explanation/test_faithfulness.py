"""Faithfulness against plain loops, the library's ROAD, and networks with known answers."""

import itertools

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from fmnist.explanation import faithfulness, road
from fmnist.explanation.attribution import Explainer, to_door, upsample
from fmnist.explanation.faithfulness import (
    BLUR,
    CENTRE,
    CURVES,
    MEASURES,
    PIXELS,
    RANDOM,
    ROAD_SHARES,
    STEPS,
    Faithfulness,
    measure,
)
from fmnist.models.loading import in_batches

COUNT = 12
PLACES = (0, 3, 7)  # images that are measured again


@pytest.fixture
def signs() -> np.ndarray:
    return np.eye(10, dtype=np.float32)[np.arange(COUNT) % 10]


@pytest.fixture
def images(pixels: np.ndarray) -> np.ndarray:
    return pixels[:COUNT]


@pytest.fixture
def sure(cnn: nn.Module) -> nn.Module:
    """An untrained CNN whose probabilities are far from even."""
    cnn.head.weight.data *= 20
    return cnn


def predicted(network: nn.Module, images: np.ndarray) -> np.ndarray:
    return np.eye(10, dtype=np.float32)[in_batches(network, images).argmax(1)]


@pytest.fixture
def linear() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def products(linear: nn.Sequential) -> faithfulness.Explanation:
    """Return the explanation that is exact for a linear network: what each pixel adds to the logit."""
    return lambda images, signs: images[:, 0] * (signs @ linear[1].weight.detach()).view(-1, 28, 28)


def ordered(explain: faithfulness.Explanation, images: Tensor, signs: Tensor) -> list[list[int]]:
    """Return each image's pixels, the most relevant first; the maps of these tests have no ties."""
    maps = upsample(explain(images, signs)).flatten(1)
    return [sorted(range(PIXELS), key=row.__getitem__, reverse=True) for row in maps.tolist()]


def test_deletion_and_insertion_are_those_of_a_plain_loop(sure: nn.Module, images: np.ndarray) -> None:
    explainer, signs = Explainer(sure, "smoothgrad"), predicted(sure, images)
    measured = measure(sure, {"map": explainer}, images, signs)["map"]
    batch = to_door(images)
    orders = ordered(explainer, batch, torch.from_numpy(signs))
    blurred = torch.from_numpy(gaussian_filter(batch.numpy(), (0, 0, BLUR, BLUR)))
    baselines = {"black": torch.zeros_like(batch), "blurred": blurred}
    for kind in CURVES:
        way, baseline = kind.split(", ")
        ends = (batch, baselines[baseline]) if way == "deletion" else (baselines[baseline], batch)
        for place in PLACES:
            curve = []
            for step in range(STEPS + 1):
                image = ends[0][place].flatten().clone()
                pixels = orders[place][: PIXELS * step // STEPS]
                image[pixels] = ends[1][place].flatten()[pixels]
                with torch.no_grad():
                    curve.append(sure(image.view(1, 1, 28, 28)).softmax(1)[0, signs[place].argmax()].item())
            area = sum((low + high) / 2 for low, high in itertools.pairwise(curve)) / STEPS
            assert measured.scores[kind][place] == pytest.approx(area, abs=1e-5)


def test_the_mean_curve_is_that_of_the_scores(cnn: nn.Module, images: np.ndarray, signs: np.ndarray) -> None:
    measured = measure(cnn, {}, images, signs)
    assert measured.keys() == {RANDOM, CENTRE}
    for result in measured.values():
        assert result.scores.keys() == MEASURES.keys()
        assert all(len(scores) == COUNT and np.isfinite(scores).all() for scores in result.scores.values())
        for kind, curve in result.curves.items():
            area = (curve[1:] + curve[:-1]).sum() / 2 / STEPS
            assert area == pytest.approx(result.scores[kind].mean(), abs=1e-6)


def test_road_is_that_of_a_plain_loop(linear: nn.Sequential, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(road, "NOISE", 0)
    rough = np.random.default_rng(0).integers(0, 256, (COUNT, 28, 28), dtype=np.uint8)
    explain, signs = products(linear), predicted(linear, rough)
    measured = measure(linear, {"map": explain}, rough, signs)["map"].scores["ROAD"]
    batch = to_door(rough)
    orders = ordered(explain, batch, torch.from_numpy(signs))
    for place in PLACES:
        gaps = []
        for share in ROAD_SHARES:
            probabilities = []
            for order in (orders[place], orders[place][::-1]):
                kept = torch.ones(PIXELS, dtype=torch.int)
                kept[order[: round(share * PIXELS)]] = 0
                imputed = NoisyLinearImputer(noise=0)(batch[place], kept.view(28, 28))
                with torch.no_grad():
                    probabilities.append(linear(imputed[None]).softmax(1)[0, signs[place].argmax()].item())
            gaps.append((probabilities[1] - probabilities[0]) / 2)
        assert measured[place] == pytest.approx(np.mean(gaps), abs=1e-5)
    assert np.abs(measured).max() > 0.01


def test_the_exact_map_of_a_linear_network_has_no_infidelity(
    linear: nn.Sequential, images: np.ndarray, signs: np.ndarray
) -> None:
    exact = products(linear)
    measured = measure(linear, {"exact": exact, "tenfold": lambda x, s: 10 * exact(x, s)}, images, signs)
    assert measured["exact"].scores["infidelity"].max() < 1e-6
    assert measured["tenfold"].scores["infidelity"].max() < 1e-6  # its unit does not matter
    assert measured[RANDOM].scores["infidelity"].min() > 1e-4


def test_a_true_map_beats_the_references_and_its_opposite_is_worse(
    linear: nn.Sequential, images: np.ndarray, signs: np.ndarray
) -> None:
    exact = products(linear)
    measured = measure(linear, {"exact": exact, "opposite": lambda x, s: -exact(x, s)}, images, signs)
    for kind in ("deletion, black", "insertion, black"):
        sign = 1 if MEASURES[kind] == "higher" else -1
        means = {name: sign * result.scores[kind].mean() for name, result in measured.items()}
        assert means["exact"] > max(means[RANDOM], means[CENTRE])
        assert means["opposite"] < min(means[RANDOM], means[CENTRE])


def test_sensitivity(linear: nn.Sequential, images: np.ndarray, signs: np.ndarray) -> None:
    measured = measure(linear, {"exact": products(linear)}, images, signs)
    assert (measured[CENTRE].scores["sensitivity"] == 0).all()
    assert (measured["exact"].scores["sensitivity"] > 0).all()
    assert (measured["exact"].scores["sensitivity"] < 0.1).all()  # pixels of about 0.5 change by 0.02
    assert (measured[RANDOM].scores["sensitivity"] > 0.5).all()


def test_ties_fall_at_random_but_alike_for_every_method(images: np.ndarray, signs: np.ndarray) -> None:
    maps = torch.zeros(2, 28, 28)
    ranks = faithfulness._ranks(maps, torch.Generator().manual_seed(0))
    assert torch.equal(ranks, faithfulness._ranks(maps, torch.Generator().manual_seed(0)))
    assert (ranks.flatten(1).sort(1).values == torch.arange(PIXELS)).all()
    assert abs(ranks[0, 0, :14].float().mean().item() - PIXELS / 2) < 30  # the upper half comes no earlier
    maps[:, 20, 20], maps[:, 3, 3] = 1, -1
    ranks = faithfulness._ranks(maps, torch.Generator().manual_seed(0))
    assert (ranks[:, 0, 20, 20] == 0).all()
    assert (ranks[:, 0, 3, 3] == PIXELS - 1).all()


def test_the_same_call_gives_the_same_numbers(cnn: nn.Module, images: np.ndarray, signs: np.ndarray) -> None:
    def numbers() -> list[Faithfulness]:
        return list(measure(cnn, {"map": Explainer(cnn)}, images, signs).values())

    for one, other in zip(numbers(), numbers(), strict=True):
        for name in MEASURES:
            np.testing.assert_array_equal(one.scores[name], other.scores[name])
