"""Figures of one run, against scikit-learn and SciPy."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from fmnist.core.constants import CLASSES
from fmnist.core.runs import Predictions
from fmnist.evaluation import metrics
from tests.evaluation.made import predictions

TEST = predictions(0, size=500, skill=1.5)
PREDICTED = TEST.logits.argmax(1)
COUNTS = metrics.confusion_counts(TEST.labels, PREDICTED)


def test_class_scores_are_scikit_learns() -> None:
    expected = reference.precision_recall_fscore_support(TEST.labels, PREDICTED, labels=range(10))
    found = metrics.class_scores(COUNTS)
    for ours, theirs in zip(found, expected, strict=False):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    np.testing.assert_array_equal(COUNTS, reference.confusion_matrix(TEST.labels, PREDICTED))
    assert metrics.macro_f1(COUNTS) == pytest.approx(
        reference.f1_score(TEST.labels, PREDICTED, average="macro"), abs=1e-12
    )


def test_a_class_that_never_occurs_or_is_never_predicted_counts_as_zero() -> None:
    labels, predicted = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])
    found = metrics.class_scores(metrics.confusion_counts(labels, predicted))
    expected = reference.precision_recall_fscore_support(labels, predicted, labels=range(10), zero_division=0)
    for ours, theirs in zip(found, expected, strict=False):
        np.testing.assert_allclose(ours, theirs)
    balanced = metrics.balanced_accuracy(metrics.confusion_counts(labels, predicted))
    assert balanced == pytest.approx(reference.balanced_accuracy_score(labels, predicted))


def test_top_two_is_scikit_learns() -> None:
    for k in (1, 2, 5):
        expected = reference.top_k_accuracy_score(TEST.labels, TEST.logits, k=k)
        assert metrics.in_top(TEST.logits, TEST.labels, k).mean() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("of_counts", "of_images"),
    [
        (metrics.balanced_accuracy, reference.balanced_accuracy_score),
        (metrics.macro_f1, lambda *pair: reference.f1_score(*pair, average="macro")),
    ],
)
def test_intervals_are_those_of_scipy(of_counts, of_images) -> None:  # type: ignore[no-untyped-def]
    found = metrics.interval(of_counts(metrics.resampled(COUNTS)))
    expected = stats.bootstrap(
        (TEST.labels, PREDICTED), of_images, paired=True, vectorized=False, n_resamples=800,
        method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    # 800 resamples place a limit to about a tenth of the interval
    np.testing.assert_allclose(found, expected, atol=0.12 * (expected.high - expected.low))


def test_the_interval_of_accuracy_is_scipys() -> None:
    right = TEST.labels == PREDICTED
    found = metrics.mean_share([right])
    expected = stats.bootstrap(
        (right.astype(float),), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert found["value"] == right.mean()
    np.testing.assert_allclose((found["low"], found["high"]), expected, atol=0.0025)


def test_the_interval_of_the_mean_over_seeds_keeps_images_together() -> None:
    rights = [predictions(seed, size=500).logits.argmax(1) == np.arange(500) % 10 for seed in range(3)]
    found = metrics.mean_share(rights)
    means = np.mean(rights, axis=0)
    expected = stats.bootstrap((means,), np.mean, n_resamples=10_000, method="percentile", rng=1)
    assert found["value"] == pytest.approx(means.mean())
    np.testing.assert_allclose((found["low"], found["high"]), expected.confidence_interval, atol=0.0025)


def test_draws_are_the_same_each_time_and_keep_the_number_of_images() -> None:
    draws = metrics.resampled(COUNTS, resamples=50)
    np.testing.assert_array_equal(draws, metrics.resampled(COUNTS, resamples=50))
    assert draws.shape == (50, 10, 10)
    assert (draws.sum((1, 2)) == 500).all()
    assert not np.array_equal(draws, metrics.resampled(COUNTS, resamples=50, seed=1))


def test_confused_pairs_begin_with_the_known_one_then_by_number() -> None:
    counts = np.diag(np.full(10, 50))
    counts[0, 6], counts[6, 0], counts[7, 9], counts[4, 2] = 2, 1, 9, 5
    found = metrics.confused_pairs(counts)
    assert len(found) == 45
    first = found[0]
    assert (first["one"], first["other"], first["one_as_other"], first["other_as_one"]) == (
        "T-shirt/top", "Shirt", 2, 1,
    )  # fmt: skip
    assert [(pair["one"], pair["other"], pair["confused"]) for pair in found[1:4]] == [
        ("Sneaker", "Ankle boot", 9),
        ("Pullover", "Coat", 5),
        ("T-shirt/top", "Trouser", 0),
    ]
    assert first["of"] == 103


def test_everything_of_a_run_is_ready_for_json() -> None:
    found = metrics.evaluate(TEST, predictions(5, size=200))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"]
    assert found["accuracy"]["value"] == TEST.accuracy
    assert found["classes"].keys() == set(CLASSES)
    assert found["scaled"]["log_loss"] < found["raw"]["log_loss"] + 0.01
    assert found["risk_coverage"]["risk_at_coverage"]["1"] == pytest.approx(1 - TEST.accuracy)


def test_without_validation_there_is_no_temperature() -> None:
    found = metrics.evaluate(TEST)
    assert found["temperature"] is None
    assert found["scaled"] is None
    assert found["raw"]["log_loss"] == pytest.approx(reference.log_loss(TEST.labels, TEST.probabilities))


def test_decision_scores_have_no_probabilities_until_they_are_scaled() -> None:
    bare = metrics.evaluate(TEST, None, "decision scores")
    assert [bare[key] for key in ("raw", "scaled", "risk_coverage", "likely_label_errors")] == [None] * 4
    scaled = metrics.evaluate(TEST, predictions(5, size=200), "decision scores")
    assert scaled["raw"] is None
    assert scaled["scaled"]["calibration_error"] < 0.1
    assert scaled["top2_accuracy"] is not None


def test_bare_decisions_rank_no_second_class() -> None:
    decisions = Predictions(np.eye(10, dtype=np.float32)[PREDICTED], TEST.labels, TEST.indices)
    assert metrics.evaluate(decisions, None, "decisions")["top2_accuracy"] is None
