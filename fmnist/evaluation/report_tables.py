"""The tables of one run's page."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fmnist.core import tables
from fmnist.core.constants import CLASSES
from fmnist.core.runs import Predictions
from fmnist.core.tables import Column, Row, Table
from fmnist.evaluation import report_words as words

ERRORS = 32  # shown at most


def worst_errors(test: Predictions, shown: np.ndarray) -> np.ndarray:
    """Return the places of the most confident errors, the most confident first."""
    wrong = np.flatnonzero(test.logits.argmax(1) != test.labels)
    return wrong[np.argsort(-shown[wrong].max(1), kind="stable")][:ERRORS]


def classification_table(found: dict[str, Any]) -> Table:
    """Return precision, recall, F1 and support by class, and their means."""
    classes: list[Row] = [{"class": name, **values} for name, values in found["classes"].items()]
    support = np.array([row["support"] for row in classes])
    rows = [
        *classes,
        _means("macro average", classes, np.ones(len(classes)), int(support.sum())),
        _means("weighted average", classes, support, int(support.sum())),
    ]
    columns = [
        Column("class", "class"),
        Column("precision", "precision", tables.fixed("precision")),
        Column("recall", "recall", tables.fixed("recall")),
        Column("F1", "f1", tables.fixed("f1")),
        Column("images", "support", tables.grouped("support")),
    ]
    return Table("classification_report", "Precision, recall and F1 by class", columns, rows)


def _means(name: str, classes: Sequence[Row], weights: np.ndarray, images: int) -> Row:
    keys = ("precision", "recall", "f1")
    means = {key: float(np.average([row[key] for row in classes], weights=weights)) for key in keys}
    return {"class": name, **means, "support": images}


def calibration_table(found: dict[str, Any]) -> Table:
    """Return log loss, Brier score and calibration error before and after temperature scaling."""
    parts = (("as stated", "raw"), ("temperature-scaled", "scaled"))
    rows = [{"probabilities": said, **found[key]} for said, key in parts if found[key]]
    columns = [
        Column("probabilities", "probabilities"),
        Column("log loss", "log_loss", tables.fixed("log_loss"), "nats"),
        Column("Brier score", "brier_score", tables.fixed("brier_score"), "summed over the classes, 0 to 2"),
        Column("ECE", "calibration_error", tables.fixed("calibration_error"), "15 bins of equal width"),
        Column("mean confidence", "mean_confidence", tables.fixed("mean_confidence")),
    ]
    return Table("calibration", "Before and after temperature scaling", columns, rows)


def errors_table(test: Predictions, shown: np.ndarray) -> Table:
    """Return the most confident errors."""
    predicted = test.logits.argmax(1)
    rows = [
        {
            "index": int(test.indices[place]),
            "true": CLASSES[test.labels[place]],
            "predicted": CLASSES[predicted[place]],
            "probability": float(shown[place].max()),
            "probability_of_true": float(shown[place, test.labels[place]]),
        }
        for place in worst_errors(test, shown)
    ]
    columns = [
        Column("image", "index"),
        Column("true class", "true"),
        Column("predicted", "predicted"),
        Column("its probability", "probability", lambda row: words.share(row["probability"])),
        Column("of the true class", "probability_of_true", tables.fixed("probability_of_true")),
    ]
    return Table("worst_errors", "The most confident errors", columns, rows)
