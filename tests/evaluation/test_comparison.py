"""Statistics between runs, against statsmodels and SciPy."""

import numpy as np
import pytest
from scipy import stats

from fmnist.evaluation import comparison

GENERATOR = np.random.default_rng(0)
RIGHT = {name: GENERATOR.random(1_000) < share for name, share in (("a", 0.9), ("b", 0.85), ("c", 0.7))}


@pytest.mark.parametrize(("b", "c"), [(0, 0), (1, 0), (5, 5), (3, 12), (40, 80), (700, 650)])
def test_mcnemar_is_that_of_statsmodels(b: int, c: int) -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables", reason="no statsmodels: make venv")
    expected = tables.mcnemar([[50, b], [c, 20]], exact=True).pvalue
    assert comparison.mcnemar(b, c) == pytest.approx(expected if b + c else 1.0, abs=1e-12)


def test_holm_is_that_of_statsmodels() -> None:
    multitest = pytest.importorskip("statsmodels.stats.multitest", reason="no statsmodels: make venv")
    for values in ([0.01], [0.04, 0.01, 0.03], [0.5, 0.5, 1e-9, 0.02], GENERATOR.random(66) ** 4):
        expected = multitest.multipletests(values, method="holm")[1]
        np.testing.assert_allclose(comparison.holm(list(values)), expected, atol=1e-12)
    assert comparison.holm([]) == []


def test_the_interval_of_a_difference_is_scipys_paired_bootstrap() -> None:
    found = comparison.compare(RIGHT["a"], RIGHT["b"])
    expected = stats.bootstrap(
        (RIGHT["a"].astype(float), RIGHT["b"].astype(float)),
        lambda one, other, axis: one.mean(axis) - other.mean(axis),
        paired=True, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert found.difference == pytest.approx(RIGHT["a"].mean() - RIGHT["b"].mean())
    np.testing.assert_allclose((found.low, found.high), expected, atol=0.0025)
    assert found.only_first == (RIGHT["a"] & ~RIGHT["b"]).sum()
    assert found.only_second == (RIGHT["b"] & ~RIGHT["a"]).sum()


def test_the_same_answers_differ_by_nothing() -> None:
    found = comparison.compare(RIGHT["a"], RIGHT["a"])
    assert found == (0, 0, 0, 0, 0, 1.0)


def test_every_pair_is_compared_once_the_better_first() -> None:
    found = comparison.compare_all({"c": RIGHT["c"], "a": RIGHT["a"], "b": RIGHT["b"]})
    assert [(pair["better"], pair["worse"]) for pair in found] == [("a", "c"), ("b", "c"), ("a", "b")]
    assert all(pair["difference"] > 0 for pair in found)
    assert [pair["p_holm"] for pair in found] == comparison.holm([pair["p"] for pair in found])


def test_classes_are_compared_each_on_its_own_images() -> None:
    labels = np.arange(1_000) % 2
    first, second = np.ones(1_000, bool), labels == 0
    same, other = comparison.compare_classes(first, second, labels, ["even", "odd"])
    assert (same["class"], same["difference"], same["p_holm"]) == ("even", 0, 1.0)
    assert (other["class"], other["difference"]) == ("odd", 1.0)
    assert other["p_holm"] < 1e-9


def test_agreement_is_the_share_of_equal_answers() -> None:
    found = comparison.agreement({"a": np.array([1, 2, 3, 4]), "b": np.array([1, 2, 0, 0])})
    np.testing.assert_array_equal(found, [[1, 0.5], [0.5, 1]])


def test_images_that_all_get_wrong_and_that_one_gets_right() -> None:
    right = {"a": np.array([1, 0, 0, 1], bool), "b": np.array([1, 0, 1, 0], bool)}
    assert comparison.all_wrong(right).tolist() == [1]
    alone = comparison.only_right(right)
    assert (alone["a"].tolist(), alone["b"].tolist()) == ([3], [2])


def test_results_are_said_in_words() -> None:
    pair = {"better": "a", "worse": "b", "difference": 0.0042, "low": 0.001, "high": 0.007}
    assert comparison.sentence({**pair, "p_holm": 0.01}) == (
        "a is better than b: +0.42 points (95 % +0.10 to +0.70), p = 0.010"
    )
    assert comparison.sentence({**pair, "low": -0.003, "p_holm": 0.7}) == (
        "no difference between a and b can be shown: +0.42 points (95 % −0.30 to +0.70), p = 0.700"
    )
    assert comparison.points(-0.00001) == "0.00"
    assert comparison.p_text(0.00099) == "p < 0.001"
