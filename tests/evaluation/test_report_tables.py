"""Tables of one run."""

import numpy as np

from fmnist.core.statistics import softmax
from fmnist.evaluation import metrics, report_tables
from tests.evaluation.made import predictions

TEST = predictions(0, size=400)
FOUND = metrics.evaluate(TEST)


def test_the_classification_report_ends_with_both_means() -> None:
    rows = report_tables.classification_table(FOUND).rows
    assert len(rows) == 12
    assert rows[10]["f1"] == np.mean([row["f1"] for row in rows[:10]])
    weights = [row["support"] for row in rows[:10]]
    assert rows[11]["recall"] == np.average([row["recall"] for row in rows[:10]], weights=weights)
    assert rows[11]["support"] == 400


def test_calibration_has_a_row_for_what_there_is() -> None:
    assert [row["probabilities"] for row in report_tables.calibration_table(FOUND).rows] == ["as stated"]
    scaled = metrics.evaluate(TEST, predictions(1, size=100), "decision scores")
    assert [row["probabilities"] for row in report_tables.calibration_table(scaled).rows] == [
        "temperature-scaled"
    ]


def test_worst_errors_are_errors_the_surest_first() -> None:
    shown = softmax(TEST.logits)
    places = report_tables.worst_errors(TEST, shown)
    assert (TEST.logits.argmax(1)[places] != TEST.labels[places]).all()
    assert (np.diff(shown.max(1)[places]) <= 0).all()
    rows = report_tables.errors_table(TEST, shown).rows
    assert [row["index"] for row in rows] == places.tolist()
    assert all(row["probability_of_true"] <= row["probability"] for row in rows)
