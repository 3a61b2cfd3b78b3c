"""Confident learning, against its authors' library."""

import numpy as np
import pytest

from fmnist.core.statistics import softmax
from fmnist.evaluation.label_errors import likely_label_errors
from tests.evaluation.made import predictions


def test_wrong_labels_are_found_the_least_probable_first() -> None:
    made = predictions(0, size=400, skill=6.0)
    labels = made.labels.copy()
    labels[[10, 25, 31]] = (labels[[10, 25, 31]] + 3) % 10
    shares = softmax(made.logits)
    found = likely_label_errors(shares, labels)
    assert {10, 25, 31} <= set(found[:5])
    assert np.all(np.diff(shares[found, labels[found]]) >= 0)


@pytest.mark.parametrize("skill", [0.5, 1.5, 2.5])
def test_they_are_those_of_cleanlab(skill: float) -> None:
    filters = pytest.importorskip("cleanlab.filter", reason="cleanlab is not installed: make venv")
    made = predictions(1, size=1_000, skill=skill)
    shares = softmax(made.logits)
    expected = filters.find_label_issues(
        made.labels,
        shares,
        return_indices_ranked_by="self_confidence",
        filter_by="confident_learning",
        n_jobs=1,
    )
    assert len(expected) > 10
    np.testing.assert_array_equal(likely_label_errors(shares, made.labels), expected)


def test_a_class_without_labels_is_no_candidate() -> None:
    shares = np.array([[0.3, 0.1, 0.6], [0.3, 0.1, 0.6], [0.1, 0.3, 0.6], [0.1, 0.3, 0.6]])
    assert likely_label_errors(shares, np.array([0, 0, 1, 1])).size == 0
