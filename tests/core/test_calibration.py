"""Calibration against closed forms; the table of metrics compares it with other libraries."""

import numpy as np
import pytest

from fmnist.core import calibration
from fmnist.core.statistics import softmax


def perfect(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (N, 10), and labels drawn from them."""
    generator = np.random.default_rng(seed)
    shares = softmax(generator.normal(0, 2, (size, 10)))
    return shares, (generator.random((size, 1)) > shares.cumsum(1)).sum(1)


def test_log_loss_and_brier_score_of_impossible_predictions_are_finite() -> None:
    shares, labels = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 1])
    assert np.isfinite(calibration.log_loss(shares, labels))
    assert calibration.brier_score(shares, labels) == 1.0


def test_a_perfectly_calibrated_predictor_shows_only_what_chance_gives() -> None:
    errors = []
    for seed in range(5):
        confidence, right = calibration.confidences(*perfect(10_000, seed))
        errors.append(calibration.calibration_error(confidence, right))
    by_chance = calibration.error_by_chance(confidence)
    assert np.mean(errors) == pytest.approx(by_chance, rel=0.35)
    assert by_chance < 0.015


def debiased_by_simulation(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return what Kumar et al. (2019) compute by drawing the accuracies of the bins."""
    bins = calibration.reliability(confidence, right)
    filled = bins["count"] > 0
    share, stated, accuracy = (bins[name][filled] for name in ("count", "confidence", "accuracy"))
    spread = np.sqrt(accuracy * (1 - accuracy) / share)
    drawn = np.random.default_rng(0).normal(accuracy, spread, (20_000, len(share)))
    plain, simulated = np.abs(accuracy - stated), np.abs(drawn - stated).mean(0)
    return float((2 * plain - simulated) @ share / share.sum())


@pytest.mark.parametrize("too_confident", [0.0, 0.03])
def test_the_debiased_error_leaves_out_what_chance_gives(too_confident: float) -> None:
    shares, labels = perfect(10_000)
    confidence, right = calibration.confidences(shares, labels)
    confidence = confidence + too_confident * (1 - confidence)
    debiased = calibration.debiased_calibration_error(confidence, right)
    assert debiased == pytest.approx(debiased_by_simulation(confidence, right), abs=1e-4)
    shares, labels = perfect(1_000_000, seed=1)
    many, of_many = calibration.confidences(shares, labels)
    true = calibration.calibration_error(many + too_confident * (1 - many), of_many)
    assert abs(debiased - true) < abs(calibration.calibration_error(confidence, right) - true)


def test_answers_that_are_all_right_have_no_spread() -> None:
    error = calibration.debiased_calibration_error(np.array([0.9, 0.9]), np.array([True, True]))
    assert error == pytest.approx(0.1)


def test_certainty_falls_into_the_last_bin() -> None:
    bins = calibration.reliability(np.array([1.0, 0.95, 0.0]), np.array([True, False, False]))
    assert bins["count"].tolist() == [1, *[0] * 13, 2]
    assert bins["accuracy"][-1] == 0.5
    assert np.isnan(bins["accuracy"][5])


@pytest.mark.parametrize("true", [0.02, 1.0, 300.0])
def test_the_temperature_of_logits_is_found_again(true: float) -> None:
    shares, labels = perfect(20_000)
    assert calibration.fit_temperature(np.log(shares) * true, labels) == pytest.approx(true, rel=0.03)


def test_risk_by_coverage_counts_the_errors_among_the_surest() -> None:
    confidence, right = np.array([0.6, 0.9, 0.8, 0.7]), np.array([True, True, False, True])
    np.testing.assert_allclose(calibration.risk_by_coverage(confidence, right), [0, 1 / 2, 1 / 3, 1 / 4])
    for order in ([0, 1, 2, 3], [1, 2, 0, 3]):  # equal confidences have no order
        risk = calibration.risk_by_coverage(np.full(4, 0.5), right[order])
        np.testing.assert_allclose(risk, 1 / 4)
