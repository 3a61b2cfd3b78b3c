"""Statistics against scikit-learn, SciPy and statsmodels."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics as reference

from fmnist.core import statistics
from tests.evaluation.made import predictions

TEST = predictions(0, size=500, skill=1.5)
PREDICTED = TEST.logits.argmax(1)
COUNTS = statistics.confusion_counts(TEST.labels, PREDICTED)
GENERATOR = np.random.default_rng(0)
RIGHT = {name: GENERATOR.random(1_000) < share for name, share in (("a", 0.9), ("b", 0.85), ("c", 0.7))}


def test_softmax_takes_a_temperature_and_extreme_logits() -> None:
    np.testing.assert_allclose(
        statistics.softmax(TEST.logits, 2.0), special.softmax(TEST.logits / 2.0, 1), 1e-5
    )
    sure = statistics.softmax(np.float32([[0, -np.inf], [1000, 0]]))
    np.testing.assert_array_equal(sure, [[1, 0], [1, 0]])


@pytest.mark.parametrize(
    ("scores", "fault"),
    [
        (np.float32([[1, 2] * 5, [-np.inf] * 9 + [0]]), None),  # a class may be ruled out
        (np.full((2, 10), np.nan), "scores that are not numbers for 2 of 2 images"),
        (np.float32([[0] * 10, [np.inf] + [0] * 9]), "scores that are not numbers for 1 of 2 images"),
        (np.float32([[0] * 10, [-np.inf] * 10]), "scores that are not numbers for 1 of 2 images"),
        (np.zeros((2, 45)), "scores (2, 45), not (2, 10)"),
        (np.zeros(2), "scores (2,), not (2, 10)"),
        (np.zeros((2, 10), int), "scores of type int64, not float"),
    ],
)
def test_scores_are_answers_only_if_they_are_numbers(scores: np.ndarray, fault: str | None) -> None:
    assert statistics.scores_fault(scores, 2) == fault


@pytest.mark.parametrize(
    ("labels", "predicted"),
    [(TEST.labels, PREDICTED), (np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]))],
    ids=["all classes", "classes that never occur or are never predicted"],
)
def test_scores_of_classes_are_scikit_learns(labels: np.ndarray, predicted: np.ndarray) -> None:
    counts = statistics.confusion_counts(labels, predicted)
    np.testing.assert_array_equal(counts, reference.confusion_matrix(labels, predicted, labels=range(10)))
    expected = reference.precision_recall_fscore_support(labels, predicted, labels=range(10), zero_division=0)
    for ours, theirs in zip(statistics.class_scores(counts), expected, strict=False):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    assert statistics.macro_f1(counts) == pytest.approx(np.mean(expected[2]), abs=1e-12)
    balanced = statistics.balanced_accuracy(counts)
    assert balanced == pytest.approx(reference.balanced_accuracy_score(labels, predicted))


@pytest.mark.parametrize(
    ("of_counts", "of_images"),
    [
        (statistics.balanced_accuracy, reference.balanced_accuracy_score),
        (statistics.macro_f1, lambda *pair: reference.f1_score(*pair, average="macro")),
    ],
)
def test_intervals_are_those_of_scipy(of_counts: Callable, of_images: Callable) -> None:  # type: ignore[type-arg]
    limits = statistics.interval(of_counts(statistics.resampled(COUNTS)))
    expected = stats.bootstrap(
        (TEST.labels, PREDICTED), of_images, paired=True, vectorized=False, n_resamples=800,
        method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    # 800 resamples place a limit to about a tenth of the interval
    np.testing.assert_allclose(limits, expected, atol=0.12 * (expected.high - expected.low))


def test_draws_are_the_same_each_time_and_keep_the_number_of_images() -> None:
    draws, again, other = (statistics.resampled(COUNTS, resamples=50, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(draws, again)
    assert not np.array_equal(draws, other)
    assert (draws.sum((1, 2)) == 500).all()


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (5, 5), (3, 12), (40, 80), (700, 650)])
def test_mcnemar_is_that_of_statsmodels(b: int, c: int) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables", reason="no statsmodels: make venv")
    expected = tables.mcnemar([[50, b], [c, 20]], exact=True).pvalue
    assert statistics.mcnemar(b, c) == pytest.approx(expected if b + c else 1.0, abs=1e-12)


def test_holm_is_that_of_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="no statsmodels: make venv")
    for values in ([0.01], [0.04, 0.01, 0.03], [0.5, 0.5, 1e-9, 0.02], GENERATOR.random(66) ** 4):
        expected = multitest.multipletests(values, method="holm")[1]
        np.testing.assert_allclose(statistics.holm(list(values)), expected, atol=1e-12)
    assert statistics.holm([]) == []


def test_the_interval_of_a_difference_is_scipys_paired_bootstrap() -> None:
    pair = statistics.paired(RIGHT["a"], RIGHT["b"])
    expected = stats.bootstrap(
        (RIGHT["a"].astype(float), RIGHT["b"].astype(float)),
        lambda one, other, axis: one.mean(axis) - other.mean(axis),
        paired=True, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert pair.difference == pytest.approx(RIGHT["a"].mean() - RIGHT["b"].mean())
    np.testing.assert_allclose((pair.low, pair.high), expected, atol=0.0025)
    assert pair.only_first == (RIGHT["a"] & ~RIGHT["b"]).sum()
    assert pair.only_second == (RIGHT["b"] & ~RIGHT["a"]).sum()
    assert statistics.paired(RIGHT["a"], RIGHT["a"]) == (0, 0, 0, 0, 0, 1.0)


def test_every_pair_is_compared_once_the_better_first() -> None:
    pairs = statistics.paired_all({"c": RIGHT["c"], "a": RIGHT["a"], "b": RIGHT["b"]})
    assert [(pair["better"], pair["worse"]) for pair in pairs] == [("a", "c"), ("b", "c"), ("a", "b")]
    assert all(pair["difference"] > 0 for pair in pairs)
    assert [pair["p_holm"] for pair in pairs] == statistics.holm([pair["p"] for pair in pairs])


def test_classes_are_compared_each_on_its_own_images() -> None:
    labels = np.arange(1_000) % 2
    first, second = np.ones(1_000, bool), labels == 0
    same, other = statistics.paired_classes(first, second, labels)
    assert (same["class"], same["difference"], same["p_holm"]) == ("T-shirt/top", 0, 1.0)
    assert (other["class"], other["difference"]) == ("Trouser", 1.0)
    assert other["p_holm"] < 1e-9
