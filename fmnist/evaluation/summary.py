"""The content of ``metrics.json``: all that is computed from the saved predictions of one run."""

from itertools import combinations
from typing import Any

import numpy as np

from fmnist.core import calibration
from fmnist.core.constants import CLASSES
from fmnist.core.metrics import METRICS, PROBABILISTIC, of_probabilities
from fmnist.core.predictions import Predictions
from fmnist.core.statistics import class_scores, confusion_counts, softmax


def summarise(
    test: Predictions, val: Predictions | None = None, score_type: str = "logits"
) -> dict[str, Any]:
    """Return the metrics of one run, ready for JSON.

    Args:
        test: Predictions of the test set.
        val: Of the validation set, on which the temperature is fitted; None where there is none.
        score_type: See `fmnist.core.runs.Run.score_type`.

    Returns:
        Every metric of ``METRICS``, those of probabilities under ``raw`` and ``scaled`` (after temperature
        scaling); precision, recall and F1 by class, confusions, calibration, risk and likely label errors.
        None marks what this type of scores does not allow.
    """
    labels, counts = test.labels, confusion_counts(test.labels, test.predicted)
    temperature = None if val is None else calibration.fit_temperature(val.logits, val.labels)
    raw = softmax(test.logits) if score_type in PROBABILISTIC else None
    scaled = None if temperature is None else softmax(test.logits, temperature)
    best = None if score_type == "decisions" else raw if scaled is None else scaled
    return {
        "images": len(labels),
        **{
            metric.name: metric.estimate(test.logits, labels) if metric.applies_to(score_type) else None
            for metric in METRICS
            if metric.takes != "probabilities"
        },
        "classes": _by_class(counts),
        "confusion_matrix": counts.tolist(),
        "confused_pairs": confused_pairs(counts),
        "temperature": temperature,
        "raw": None if raw is None else of_probabilities(raw, labels),
        "scaled": None if scaled is None else of_probabilities(scaled, labels),
        "calibration_error_by_chance": None if best is None else calibration.error_by_chance(best.max(1)),
        "risk_coverage": (
            None if best is None else calibration.risk_at_coverages(*calibration.confidences(best, labels))
        ),
        "likely_label_errors": (
            None if best is None else test.indices[likely_label_errors(best, labels)].tolist()
        ),
    }


def _by_class(counts: np.ndarray) -> dict[str, dict[str, float]]:
    scores, support = class_scores(counts), counts.sum(1).tolist()
    columns = {name: values.tolist() for name, values in scores._asdict().items()} | {"support": support}
    return {
        name: {key: values[label] for key, values in columns.items()} for label, name in enumerate(CLASSES)
    }


def confused_pairs(counts: np.ndarray) -> list[dict[str, Any]]:
    """Return how often the classes of each pair were confused with each other, the most frequent first.

    T-shirt/top and Shirt come first in any case: they are the pair that this data set is known for.
    """
    pairs = [
        {
            "one": CLASSES[one],
            "other": CLASSES[other],
            "one_as_other": int(counts[one, other]),
            "other_as_one": int(counts[other, one]),
            "confused": int(counts[one, other] + counts[other, one]),
            "of": int(counts[[one, other]].sum()),
        }
        for one, other in combinations(range(len(CLASSES)), 2)
    ]
    known = ("T-shirt/top", "Shirt")
    return sorted(pairs, key=lambda pair: ((pair["one"], pair["other"]) != known, -pair["confused"]))


def likely_label_errors(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the rows that the model confidently puts into another class than their label.

    A class counts for an image where its probability reaches the mean that the images labelled so get;
    of several, the most probable one. This is the off-diagonal of the confident joint of Northcutt et al.
    2021, "Confident Learning: Estimating Uncertainty in Dataset Labels", arXiv 1911.00068, equation 1, less
    the images on which the model agrees with the label after all, as in their library cleanlab.

    Args:
        probabilities: Out of sample, (N, C).
        labels: int64 (N,).

    Returns:
        Their rows, int64 (k,), those with the least probability of their label first.
    """
    own = probabilities[np.arange(len(labels)), labels]
    classes = probabilities.shape[1]
    means = [own[labels == label].mean() if (labels == label).any() else np.inf for label in range(classes)]
    reached = probabilities >= np.array(means)
    confident = np.where(reached, probabilities, -1).argmax(1)
    doubted = (confident != labels) & (probabilities.argmax(1) != labels)
    suspects = np.flatnonzero(reached.any(1) & doubted)
    return suspects[np.argsort(own[suspects], kind="stable")]
