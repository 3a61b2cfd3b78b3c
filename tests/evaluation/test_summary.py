"""The metrics of one run, against scikit-learn, and its likely label errors, against cleanlab."""

import json

import numpy as np
import pytest
from sklearn import metrics as reference

from fmnist.core.constants import CLASSES
from fmnist.core.statistics import softmax
from fmnist.evaluation.summary import confused_pairs, likely_label_errors, summarise
from tests.evaluation.made import predictions

TEST = predictions(0, size=500, skill=1.5)
VAL = predictions(5, size=200)


def test_the_summary_of_a_run_is_ready_for_json() -> None:
    summary = summarise(TEST, VAL)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["accuracy"]["low"] < summary["accuracy"]["value"] < summary["accuracy"]["high"]
    assert summary["accuracy"]["value"] == TEST.accuracy
    assert summary["raw"]["log_loss"] == pytest.approx(reference.log_loss(TEST.labels, TEST.probabilities))
    assert summary["scaled"]["log_loss"] < summary["raw"]["log_loss"] + 0.01
    assert summary["risk_coverage"]["risk_at_coverage"]["1"] == pytest.approx(1 - TEST.accuracy)
    scores = reference.precision_recall_fscore_support(TEST.labels, TEST.logits.argmax(1))
    for name, values in zip(CLASSES, zip(*scores, strict=True), strict=True):
        assert list(summary["classes"][name].values()) == pytest.approx(values)


def test_what_the_scores_do_not_allow_is_none() -> None:
    assert summarise(TEST)["temperature"] is summarise(TEST)["scaled"] is None
    unscaled = summarise(TEST, None, "decision scores")
    assert [unscaled[key] for key in ("raw", "scaled", "risk_coverage", "likely_label_errors")] == [None] * 4
    scaled = summarise(TEST, VAL, "decision scores")
    assert scaled["raw"] is None
    assert scaled["scaled"]["calibration_error"] < 0.1
    assert scaled["top2_accuracy"] is not None
    assert summarise(TEST, None, "decisions")["top2_accuracy"] is None
    decided = summarise(TEST, VAL, "decisions")
    assert [decided[key] for key in ("top2_accuracy", "risk_coverage", "likely_label_errors")] == [None] * 3


def test_confused_pairs_begin_with_the_known_one_then_by_number() -> None:
    counts = np.diag(np.full(10, 50))
    counts[0, 6], counts[6, 0], counts[7, 9], counts[4, 2] = 2, 1, 9, 5
    pairs = confused_pairs(counts)
    assert len(pairs) == 45
    assert list(pairs[0].values()) == ["T-shirt/top", "Shirt", 2, 1, 3, 103]
    assert [(pair["one"], pair["other"], pair["confused"]) for pair in pairs[1:4]] == [
        ("Sneaker", "Ankle boot", 9),
        ("Pullover", "Coat", 5),
        ("T-shirt/top", "Trouser", 0),
    ]


def test_likely_label_errors_are_those_of_cleanlab() -> None:
    filters = pytest.importorskip("cleanlab.filter", reason="cleanlab is not installed: make venv")
    test = predictions(1, size=1_000, skill=1.5)
    shares = softmax(test.logits)
    expected = filters.find_label_issues(
        test.labels, shares, return_indices_ranked_by="self_confidence",
        filter_by="confident_learning", n_jobs=1,
    )  # fmt: skip
    assert len(expected) > 10
    np.testing.assert_array_equal(likely_label_errors(shares, test.labels), expected)


def test_a_class_without_labels_is_no_candidate() -> None:
    shares = np.array([[0.3, 0.1, 0.6], [0.3, 0.1, 0.6], [0.1, 0.3, 0.6], [0.1, 0.3, 0.6]])
    assert likely_label_errors(shares, np.array([0, 0, 1, 1])).size == 0
