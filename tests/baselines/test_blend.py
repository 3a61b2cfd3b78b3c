"""The blend's temperatures and weights are the likeliest ones, and it is kept with its members."""

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from fmnist.baselines.blend import Blend, fit_weights
from fmnist.core.errors import InputError


def labelled_scores(spread: float, hint: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return scores (800, 10) that know something of the labels (800,)."""
    generator = np.random.default_rng(seed)
    labels = np.arange(800) % 10
    return spread * (generator.normal(size=(800, 10)) + hint * np.eye(10)[labels]), labels


def loss(log_probabilities: np.ndarray, labels: np.ndarray) -> float:
    return -float(log_probabilities[np.arange(len(labels)), labels].mean())


def test_the_weights_are_the_likeliest() -> None:
    parts = [labelled_scores(1, hint, seed) for seed, hint in enumerate((3.0, 2.0, 0.5))]
    labels = parts[0][1]
    likelihoods = np.stack([softmax(s, axis=1)[np.arange(800), labels] for s, _ in parts], axis=1)
    found = fit_weights(likelihoods)
    assert found.sum() == pytest.approx(1)
    assert (found >= 0).all()

    def negative(free: np.ndarray) -> float:
        return -float(np.log(likelihoods @ softmax(free)).mean())

    expected = softmax(minimize(negative, np.zeros(3), tol=1e-10).x)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_model_that_knows_nothing_gets_no_weight() -> None:
    scores, labels = labelled_scores(1, 4.0, 0)
    likelihoods = np.stack([softmax(scores, axis=1)[np.arange(800), labels], np.full(800, 0.1)], axis=1)
    assert fit_weights(likelihoods)[1] < 0.05


def test_combining_is_a_weighted_mean_of_probabilities(tmp_path: Path) -> None:
    first, second = (np.random.default_rng(seed).normal(size=(5, 10)) for seed in (0, 1))
    blend = Blend([2.0, 0.5], [0.25, 0.75], tmp_path)
    expected = 0.25 * softmax(first / 2, axis=1) + 0.75 * softmax(second / 0.5, axis=1)
    found = blend.combine([first, second])
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-5)


def test_two_opinions_are_better_than_one(tmp_path: Path) -> None:
    parts = [labelled_scores(scale, 1.5, seed)[0] for seed, scale in ((0, 1), (1, 20))]
    labels = np.arange(800) % 10
    blend = Blend.fit(parts, labels, tmp_path)
    single = min(
        loss(log_softmax(s / t, axis=1), labels) for s, t in zip(parts, blend.temperatures, strict=True)
    )
    assert loss(blend.combine(parts), labels) < single
    assert blend.weights == pytest.approx([0.5, 0.5], abs=0.15)


def test_it_is_kept_and_loaded(tmp_path: Path) -> None:
    Blend([2.0, 0.5], [0.25, 0.75], tmp_path).save(tmp_path)
    loaded = Blend.load(tmp_path)
    assert (loaded.temperatures, loaded.weights) == ([2.0, 0.5], [0.25, 0.75])
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["blend.json"]


@pytest.mark.parametrize("content", ["{", "[]", '{"weights": [1]}'])
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    Blend([1.0], [1.0], tmp_path).save(tmp_path)
    (tmp_path / "checkpoints" / "blend.json").write_text(content)
    with pytest.raises(InputError, match=r"blend\.json: is damaged"):
        Blend.load(tmp_path)
