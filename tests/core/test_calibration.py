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
