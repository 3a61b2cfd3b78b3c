"""The metrics of one run, against scikit-learn, and its likely label errors, against cleanlab."""

import json

import numpy as np
import pytest
from sklearn import metrics as reference

from fmnist.core.constants import CLASSES
from fmnist.core.metrics import METRICS
from fmnist.core.runs import Predictions
from fmnist.core.statistics import softmax
from fmnist.evaluation.summary import confused_pairs, likely_label_errors, summarise
from tests.evaluation.made import predictions

TEST = predictions(0, size=500, skill=1.5)
VAL = predictions(5, size=200)


def test_the_summary_of_a_run_is_ready_for_json() -> None:
    summary = summarise(TEST, VAL)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert list(summary) == [
        "images", "accuracy", "balanced_accuracy", "macro_f1", "top2_accuracy", "classes", "confusion_matrix",
        "confused_pairs", "temperature", "raw", "scaled", "calibration_error_by_chance", "risk_coverage",
        "likely_label_errors",
    ]  # fmt: skip
    assert summary["accuracy"]["low"] < summary["accuracy"]["value"] < summary["accuracy"]["high"]
    assert summary["accuracy"]["value"] == TEST.accuracy
    assert summary["raw"].keys() == summary["scaled"].keys()
    assert summary["scaled"]["log_loss"] < summary["raw"]["log_loss"] + 0.01
    assert summary["risk_coverage"]["risk_at_coverage"]["1"] == pytest.approx(1 - TEST.accuracy)
    scores = reference.precision_recall_fscore_support(TEST.labels, TEST.logits.argmax(1))
    for name, values in zip(CLASSES, zip(*scores, strict=True), strict=True):
        assert list(summary["classes"][name].values()) == pytest.approx(values)


def test_without_validation_there_is_no_temperature() -> None:
    summary = summarise(TEST)
    assert summary["temperature"] is summary["scaled"] is None
    assert summary["raw"]["log_loss"] == pytest.approx(reference.log_loss(TEST.labels, TEST.probabilities))


def test_decision_scores_have_no_probabilities_until_they_are_scaled() -> None:
    unscaled = summarise(TEST, None, "decision scores")
    assert [unscaled[key] for key in ("raw", "scaled", "risk_coverage", "likely_label_errors")] == [None] * 4
    scaled = summarise(TEST, VAL, "decision scores")
    assert scaled["raw"] is None
    assert scaled["scaled"]["calibration_error"] < 0.1
    assert scaled["top2_accuracy"] is not None


def test_bare_decisions_rank_no_second_class() -> None:
    decisions = Predictions(np.eye(10, dtype=np.float32)[TEST.logits.argmax(1)], TEST.labels, TEST.indices)
    summary = summarise(decisions, None, "decisions")
    assert [metric.name for metric in METRICS if summary.get(metric.name)] == [
        "accuracy", "balanced_accuracy", "macro_f1",
    ]  # fmt: skip


def test_confused_pairs_begin_with_the_known_one_then_by_number() -> None:
    counts = np.diag(np.full(10, 50))
    counts[0, 6], counts[6, 0], counts[7, 9], counts[4, 2] = 2, 1, 9, 5
    pairs = confused_pairs(counts)
    assert len(pairs) == 45
    first = {"one": "T-shirt/top", "other": "Shirt", "one_as_other": 2, "other_as_one": 1}
    assert pairs[0] == {**first, "confused": 3, "of": 103}
    assert [(pair["one"], pair["other"], pair["confused"]) for pair in pairs[1:4]] == [
        ("Sneaker", "Ankle boot", 9),
        ("Pullover", "Coat", 5),
        ("T-shirt/top", "Trouser", 0),
    ]


def test_wrong_labels_are_found_the_least_probable_first() -> None:
    test = predictions(0, size=400, skill=6.0)
    labels = test.labels.copy()
    labels[[10, 25, 31]] = (labels[[10, 25, 31]] + 3) % 10
    shares = softmax(test.logits)
    rows = likely_label_errors(shares, labels)
    assert {10, 25, 31} <= set(rows[:5])
    assert np.all(np.diff(shares[rows, labels[rows]]) >= 0)


@pytest.mark.parametrize("skill", [0.5, 1.5, 2.5])
def test_likely_label_errors_are_those_of_cleanlab(skill: float) -> None:
    filters = pytest.importorskip("cleanlab.filter", reason="cleanlab is not installed: make venv")
    test = predictions(1, size=1_000, skill=skill)
    shares = softmax(test.logits)
    expected = filters.find_label_issues(
        test.labels,
        shares,
        return_indices_ranked_by="self_confidence",
        filter_by="confident_learning",
        n_jobs=1,
    )
    assert len(expected) > 10
    np.testing.assert_array_equal(likely_label_errors(shares, test.labels), expected)


def test_a_class_without_labels_is_no_candidate() -> None:
    shares = np.array([[0.3, 0.1, 0.6], [0.3, 0.1, 0.6], [0.1, 0.3, 0.6], [0.1, 0.3, 0.6]])
    assert likely_label_errors(shares, np.array([0, 0, 1, 1])).size == 0
