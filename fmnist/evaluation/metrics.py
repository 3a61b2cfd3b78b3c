"""The figures of one run, each from its saved predictions alone."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fmnist import CLASSES, calibration
from fmnist.evaluation.label_errors import likely_label_errors
from fmnist.runs import Predictions

RESAMPLES = 10_000
PROBABILISTIC, DECISIONS = ("logits", "log-probabilities"), "decisions"
COVERAGES = (0.5, 0.8, 0.9, 0.95, 1.0)


class ClassScores(NamedTuple):
    """Precision, recall and F1 of each class, each (..., C); 0 where nothing defines them."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def confusion_counts(labels: np.ndarray, predicted: np.ndarray, classes: int = len(CLASSES)) -> np.ndarray:
    """Return the confusion matrix, int64 (C, C): the row is the true class, the column the predicted one."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def class_scores(counts: np.ndarray) -> ClassScores:
    """Return precision, recall and F1 of confusion matrices (..., C, C)."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1).astype(float)
    predicted, support = counts.sum(-2), counts.sum(-1)
    return ClassScores(_ratio(hits, predicted), _ratio(hits, support), _ratio(2 * hits, predicted + support))


def balanced_accuracy(counts: np.ndarray) -> np.ndarray:
    """Return the mean recall of the classes that occur in confusion matrices (..., C, C)."""
    occurs = counts.sum(-1) > 0
    return (class_scores(counts).recall * occurs).sum(-1) / occurs.sum(-1)


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Return the mean F1 over all classes of confusion matrices (..., C, C)."""
    return class_scores(counts).f1.mean(-1)


def resampled(counts: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Bootstrap the images behind a table of counts.

    Drawing N images with replacement and counting them again is one multinomial draw of the counts, so
    nothing that depends on the counts alone needs the images themselves.

    Args:
        counts: Images in each cell, of any shape.
        resamples: How many times.
        seed: Of the draws; the same counts always get the same draws.

    Returns:
        int64 (resamples, *counts.shape).
    """
    total = int(counts.sum())
    draws = np.random.default_rng(seed).multinomial(total, counts.ravel() / total, size=resamples)
    return draws.reshape(resamples, *counts.shape)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % percentile interval of bootstrapped values (resamples,)."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def estimate(value: float | np.ndarray, bootstrapped: np.ndarray) -> dict[str, float]:
    """Return a figure with its 95 % interval, as the reports and JSON hold it."""
    low, high = interval(bootstrapped)
    return {"value": float(value), "low": low, "high": high}


def mean_share(rights: Sequence[np.ndarray]) -> dict[str, float]:
    """Return the mean accuracy of repeated runs, with its 95 % bootstrap interval over the images.

    Args:
        rights: For each run, which of the same images it gets right, bool (N,).
    """
    runs = len(rights)
    counts = np.bincount(np.sum(rights, axis=0), minlength=runs + 1)  # images by the runs that are right
    shares = np.arange(runs + 1) / (runs * counts.sum())
    return estimate(float(counts @ shares), resampled(counts) @ shares)


def in_top(logits: np.ndarray, labels: np.ndarray, k: int = 2) -> np.ndarray:
    """Return whether the label is among the k highest scores, bool (N,); of equal ones the first counts."""
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return (order == labels[:, None]).any(1)


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
    raw = calibration.probabilities(test.logits) if scores in PROBABILISTIC else None
    scaled = None if temperature is None else calibration.probabilities(test.logits, temperature)
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


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
