"""The figures of one run, each from its saved predictions alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fmnist.core import calibration
from fmnist.core.constants import CLASSES
from fmnist.core.runs import Predictions
from fmnist.core.statistics import (
    balanced_accuracy,
    class_scores,
    confusion_counts,
    estimate,
    in_top,
    macro_f1,
    mean_share,
    resampled,
    softmax,
)
from fmnist.evaluation.label_errors import likely_label_errors

PROBABILISTIC, DECISIONS = ("logits", "log-probabilities"), "decisions"
COVERAGES = (0.5, 0.8, 0.9, 0.95, 1.0)


def confused_pairs(counts: np.ndarray) -> list[dict[str, Any]]:
    """Return how often the classes of each pair were taken for each other, the commonest first.

    T-shirt/top and Shirt lead in any case: they are the pair that this data set is known for.
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
        for one in range(len(CLASSES))
        for other in range(one + 1, len(CLASSES))
    ]
    known = ("T-shirt/top", "Shirt")
    return sorted(pairs, key=lambda pair: ((pair["one"], pair["other"]) != known, -pair["confused"]))


def evaluate(test: Predictions, val: Predictions | None = None, scores: str = "logits") -> dict[str, Any]:
    """Return every figure of one run, ready for JSON.

    Args:
        test: Predictions of the test set.
        val: Of the validation set, on which the temperature is fitted; None where there is none.
        scores: What the logits are. Those in ``PROBABILISTIC`` state probabilities; of all others
            probabilities exist only after temperature scaling, and bare decisions rank no second class.
    """
    counts = confusion_counts(test.labels, test.logits.argmax(1))
    draws = resampled(counts)
    by_class = class_scores(counts)
    temperature = None if val is None else calibration.fit_temperature(val.logits, val.labels)
    raw = softmax(test.logits) if scores in PROBABILISTIC else None
    scaled = None if temperature is None else softmax(test.logits, temperature)
    best = scaled if scaled is not None else raw
    return {
        "images": len(test.labels),
        "accuracy": mean_share([test.logits.argmax(1) == test.labels]),
        "balanced_accuracy": estimate(balanced_accuracy(counts), balanced_accuracy(draws)),
        "macro_f1": estimate(macro_f1(counts), macro_f1(draws)),
        "top2_accuracy": None if scores == DECISIONS else mean_share([in_top(test.logits, test.labels)]),
        "classes": {
            name: {
                "precision": float(by_class.precision[label]),
                "recall": float(by_class.recall[label]),
                "f1": float(by_class.f1[label]),
                "support": int(counts[label].sum()),
            }
            for label, name in enumerate(CLASSES)
        },
        "confusion_matrix": counts.tolist(),
        "confused_pairs": confused_pairs(counts),
        "temperature": temperature,
        "raw": None if raw is None else probability_scores(raw, test.labels),
        "scaled": None if scaled is None else probability_scores(scaled, test.labels),
        "calibration_error_by_chance": None if best is None else calibration.error_by_chance(best.max(1)),
        "risk_coverage": None if best is None else risk_figures(best, test.labels),
        "likely_label_errors": None
        if best is None
        else test.indices[likely_label_errors(best, test.labels)].tolist(),
    }


def probability_scores(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return log loss, Brier score and calibration error of probabilities (N, C)."""
    confidence, right = calibration.confidences(probabilities, labels)
    return {
        "log_loss": calibration.log_loss(probabilities, labels),
        "brier_score": calibration.brier_score(probabilities, labels),
        "calibration_error": calibration.calibration_error(confidence, right),
        "mean_confidence": float(confidence.mean()),
    }


def risk_figures(
    probabilities: np.ndarray, labels: np.ndarray, coverages: Sequence[float] = COVERAGES
) -> dict[str, Any]:
    """Return the area under the risk-coverage curve, and the risk at some coverages."""
    confidence, right = calibration.confidences(probabilities, labels)
    risk = calibration.risk_by_coverage(confidence, right)
    at = {f"{share:g}": float(risk[max(1, round(share * len(risk))) - 1]) for share in coverages}
    return {"area": float(risk.mean()), "risk_at_coverage": at}
