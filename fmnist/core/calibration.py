"""How good probabilities are: log loss, Brier score, temperature scaling, calibration error."""

import math
from typing import Any

import numpy as np

from fmnist.core.runs import Run
from fmnist.core.statistics import softmax

BINS = 15
EDGES = np.linspace(0, 1, BINS + 1)
SIMULATIONS = 200
COVERAGES = (0.5, 0.8, 0.9, 0.95, 1.0)


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean negative log-likelihood in nats; a probability of 0 counts as the machine epsilon."""
    true = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(true, np.finfo(true.dtype).eps)).mean())


def brier_score(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean squared distance to the truth, summed over the classes: 0 at best, 2 at worst."""
    distances = probabilities - np.eye(probabilities.shape[1])[labels]
    return float((distances**2).sum(1).mean())


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature that minimises the log loss of validation logits (N, C).

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599, section 4.2.
    """
    from scipy.optimize import minimize_scalar  # half a second that not every command needs

    optimum = minimize_scalar(
        lambda power: log_loss(softmax(logits, np.exp(power)), labels),
        bounds=(-7, 7),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return float(np.exp(optimum.x))


def find_temperature(run: Run) -> float | None:
    """Return the temperature of all probabilities that people read of a run; None without validation images.

    Raises:
        InputError: Its predictions of the validation images are damaged.
    """
    if "temperature" in run.record:  # of a shipped network
        return run.record["temperature"]
    if not run.has_predictions("val"):
        return None
    val = run.predictions("val")
    return fit_temperature(val.logits, val.labels)


def calibrated_probabilities(run: Run, logits: np.ndarray) -> np.ndarray:
    """Return the probabilities (N, 10) that people read of a run, from its logits (N, 10)."""
    return softmax(logits, find_temperature(run) or 1.0)


def confidences(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest probability of each row, float64 (N,), and whether it is right, bool (N,)."""
    return probabilities.max(1), probabilities.argmax(1) == labels


def reliability(confidence: np.ndarray, right: np.ndarray) -> dict[str, np.ndarray]:
    """Sort answers into 15 bins of equal width by confidence.

    Args:
        confidence: (N,) in [0, 1].
        right: (N,) bool, or shares of being right.

    Returns:
        ``count``, mean ``confidence`` and ``accuracy`` of each bin, each (15,); NaN where it is empty.
    """
    place = np.clip(np.digitize(confidence, EDGES) - 1, 0, BINS - 1)
    count = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, values, minlength=BINS) / count for values in (confidence, right)]
    return {"count": count, "confidence": means[0], "accuracy": means[1]}


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the expected calibration error (ECE) in 15 bins of equal width.

    Source: Naeini et al. 2015; Guo et al. 2017, arXiv 1706.04599, equation 3.
    """
    bins = reliability(confidence, right)
    gaps = np.nan_to_num(np.abs(bins["accuracy"] - bins["confidence"]))
    return float(gaps @ bins["count"] / len(confidence))


def debiased_calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the ECE less the part that comes from the finite number of answers in each bin.

    The accuracy of a bin is taken as normally distributed around what was found. The mean gap that it would
    show if the gap found were the true one tells how much too large gaps are. Bins of one answer, or all
    right, have no spread, so nothing is subtracted. Values below 0 mean no error that can be told from 0.

    Source: Kumar et al. 2019, "Verified Uncertainty Calibration", arXiv 1909.10155, section 4, for p = 1.
    """
    bins = reliability(confidence, right)
    filled = bins["count"] > 0
    count, accuracy = bins["count"][filled], bins["accuracy"][filled]
    gaps = np.abs(accuracy - bins["confidence"][filled])
    spread = np.sqrt(accuracy * (1 - accuracy) / count)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(spread > 0, gaps / spread, np.inf)
    # the mean of the folded normal distribution, which the absolute value of a gap has
    erf = np.array([math.erf(value / math.sqrt(2)) for value in ratio])
    expected = spread * math.sqrt(2 / math.pi) * np.exp(-(ratio**2) / 2) + gaps * erf
    return float((2 * gaps - expected) @ count / len(confidence))


def error_by_chance(confidence: np.ndarray, seed: int = 0) -> float:
    """Return the mean ECE that a perfectly calibrated model of these confidences (N,) would show.

    The ECE is never below 0, so a finite test set gives even a perfect model some; measured by drawing
    right and wrong answers from the confidences themselves.
    """
    generator = np.random.default_rng(seed)
    draws = (generator.random(len(confidence)) < confidence for _ in range(SIMULATIONS))
    return float(np.mean([calibration_error(confidence, right) for right in draws]))


def risk_by_coverage(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the share of errors among the k most confident answers, k = 1..N, float64 (N,).

    Equal confidences have no order, so their errors are spread evenly over their ranks.

    Source: Geifman and El-Yaniv 2017, "Selective Classification for Deep Neural Networks", arXiv 1705.08500.
    """
    levels, level = np.unique(-confidence, return_inverse=True)
    errors = np.bincount(level, ~right) / np.bincount(level)
    ranks = np.repeat(np.arange(len(levels)), np.bincount(level))
    return errors[ranks].cumsum() / np.arange(1, len(confidence) + 1)


def risk_at_coverages(confidence: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Return ``area``, under the risk-coverage curve, and ``risk_at_coverage``, by coverage."""
    risk = risk_by_coverage(confidence, right)
    at = {f"{share:g}": float(risk[max(1, round(share * len(risk))) - 1]) for share in COVERAGES}
    return {"area": float(risk.mean()), "risk_at_coverage": at}
