"""Calibration against torchmetrics, scikit-learn and closed forms."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from fmnist.core import calibration
from fmnist.core.statistics import softmax
from tests.evaluation.made import predictions

TEST = predictions(0, size=800, skill=2.0)
SHARES = softmax(TEST.logits)


def perfect(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (N, 10), and labels drawn from them."""
    generator = np.random.default_rng(seed)
    shares = softmax(generator.normal(0, 2, (size, 10)))
    return shares, (generator.random((size, 1)) > shares.cumsum(1)).sum(1)


def test_probabilities_of_a_temperature() -> None:
    np.testing.assert_allclose(SHARES, torch.from_numpy(TEST.logits).double().softmax(1), rtol=1e-12)
    halved = softmax(TEST.logits, 2.0)
    np.testing.assert_allclose(halved, torch.from_numpy(TEST.logits / 2).double().softmax(1), rtol=1e-6)
    sure = softmax(np.float32([[0, -np.inf], [1000, 0]]))
    np.testing.assert_array_equal(sure, [[1, 0], [1, 0]])


def test_log_loss_and_brier_score_of_impossible_predictions_are_finite() -> None:
    shares, labels = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 1])
    assert np.isfinite(calibration.log_loss(shares, labels))
    assert calibration.brier_score(shares, labels) == 1.0


def test_calibration_error_is_that_of_torchmetrics() -> None:
    for temperature in (0.5, 1.0, 3.0):
        shares = softmax(TEST.logits, temperature)
        error = calibration.calibration_error(*calibration.confidences(shares, TEST.labels))
        expected = multiclass_calibration_error(
            torch.from_numpy(shares), torch.from_numpy(TEST.labels), num_classes=10, n_bins=15
        )
        assert error == pytest.approx(float(expected), abs=1e-6)


def test_a_perfectly_calibrated_predictor_shows_only_what_chance_gives() -> None:
    errors = []
    for seed in range(5):
        confidence, right = calibration.confidences(*perfect(10_000, seed))
        errors.append(calibration.calibration_error(confidence, right))
    by_chance = calibration.error_by_chance(confidence)
    assert np.mean(errors) == pytest.approx(by_chance, rel=0.35)
    assert by_chance < 0.015


@pytest.mark.parametrize("shift", [-0.1, 0.05, 0.2])
def test_a_known_shift_of_confidence_is_the_calibration_error(shift: float) -> None:
    confidence = np.random.default_rng(0).uniform(0.3, 0.75, 200_000)
    right = np.random.default_rng(1).random(200_000) < confidence
    assert calibration.calibration_error(confidence + shift, right) == pytest.approx(abs(shift), abs=0.004)


def test_certainty_falls_into_the_last_bin() -> None:
    bins = calibration.reliability(np.array([1.0, 0.95, 0.0]), np.array([True, False, False]))
    assert bins["count"].tolist() == [1, *[0] * 13, 2]
    assert bins["accuracy"][-1] == 0.5
    assert np.isnan(bins["accuracy"][5])


@pytest.mark.parametrize("true", [0.02, 0.2, 1.0, 4.0, 300.0])
def test_the_temperature_of_logits_is_found_again(true: float) -> None:
    shares, labels = perfect(20_000)
    assert calibration.fit_temperature(np.log(shares) * true, labels) == pytest.approx(true, rel=0.03)


def test_the_temperature_minimises_the_log_loss_and_keeps_the_accuracy() -> None:
    temperature = calibration.fit_temperature(TEST.logits, TEST.labels)
    losses = [
        calibration.log_loss(softmax(TEST.logits, temperature * step), TEST.labels)
        for step in (0.99, 1.0, 1.01)
    ]
    assert losses[1] == min(losses)
    scaled = softmax(TEST.logits, temperature)
    np.testing.assert_array_equal(scaled.argmax(1), TEST.logits.argmax(1))


def test_risk_by_coverage_counts_the_errors_among_the_surest() -> None:
    confidence, right = np.array([0.6, 0.9, 0.8, 0.7]), np.array([True, True, False, True])
    np.testing.assert_allclose(calibration.risk_by_coverage(confidence, right), [0, 1 / 2, 1 / 3, 1 / 4])


def test_equal_confidences_have_no_order() -> None:
    right = np.array([True, False, False, True])
    for order in ([0, 1, 2, 3], [1, 2, 0, 3]):
        risk = calibration.risk_by_coverage(np.full(4, 0.5), right[order])
        np.testing.assert_allclose(risk, 0.5)
