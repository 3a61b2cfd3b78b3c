"""Statistics of predictions: softmax, confusion counts, bootstrap intervals, paired tests."""

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from fmnist.core.constants import CLASSES

RESAMPLES = 10_000


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return the softmax of logits (N, C) over a temperature, float64 (N, C)."""
    scaled = logits.astype(np.float64) / temperature
    exponentials = np.exp(scaled - scaled.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def most_confident(rows: np.ndarray, confidence: np.ndarray, most: int) -> np.ndarray:
    """Return at most ``most`` of the rows, int (n,), by falling confidence, (N,) of all rows."""
    return rows[np.argsort(-confidence[rows], kind="stable")][:most]


def mean_of(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that there are; None where there are none."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def sd_of(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample; None of a single value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def scores_fault(scores: np.ndarray, images: int) -> str | None:
    """Return what keeps scores from being the answers for a number of images, or None.

    They are floats (N, 10); -inf rules a class out, as long as another is left.
    """
    if scores.shape != (images, len(CLASSES)):
        return f"scores {scores.shape}, not ({images}, {len(CLASSES)})"
    if scores.dtype.kind != "f":
        return f"scores of type {scores.dtype}, not float"
    right = (scores < np.inf).all(1) & np.isfinite(scores).any(1)  # NaN is not below
    if right.all():
        return None
    return f"scores that are not numbers for {images - right.sum():,} of {images:,} images"


def in_top(logits: np.ndarray, labels: np.ndarray, k: int = 2) -> np.ndarray:
    """Return whether the label is among the k largest logits, bool (N,); of equal ones the first counts."""
    order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return (order == labels[:, None]).any(1)


def confusion_counts(labels: np.ndarray, predicted: np.ndarray, classes: int = len(CLASSES)) -> np.ndarray:
    """Return the confusion matrix, int64 (C, C): the row is the true class, the column the predicted one."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


class ClassScores(NamedTuple):
    """Precision, recall and F1 of each class, each (..., C); 0 where nothing defines them."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


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
    a statistic that depends on the counts alone needs no images. Of N single images, the counts are ones.
    The same counts always get the same draws.

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
    """Return a value with its 95 % interval: ``value``, ``low`` and ``high``."""
    low, high = interval(bootstrapped)
    return {"value": float(value), "low": low, "high": high}


def mean_share(rights: Sequence[np.ndarray]) -> dict[str, float]:
    """Return the mean accuracy of repeated runs, with its 95 % bootstrap interval over the images.

    ``rights`` says for each run which of the same images it gets right, bool (N,).
    """
    runs = len(rights)
    counts = np.bincount(np.sum(rights, axis=0), minlength=runs + 1)  # images by the runs that are right
    shares = np.arange(runs + 1) / (runs * counts.sum())
    return estimate(float(counts @ shares), resampled(counts) @ shares)


class Spread(NamedTuple):
    """The mean of repeated measurements, and how much they vary.

    Attributes:
        mean: Their mean.
        sd: Standard deviation of one of them; NaN for a single one, as are the limits.
        low: Lower limit of the 95 % interval of the mean, by Student's t; ``high`` is the upper one.
    """

    mean: float
    sd: float
    low: float
    high: float


def spread_of(values: Sequence[float]) -> Spread:
    """Return mean, standard deviation and interval of repeated measurements."""
    mean, nothing = float(np.mean(values)), float("nan")
    if len(values) < 2:
        return Spread(mean, nothing, nothing, nothing)
    from scipy.stats import t  # half a second that not every command needs

    sd = float(np.std(values, ddof=1))
    half = float(t.ppf(0.975, len(values) - 1)) * sd / len(values) ** 0.5
    return Spread(mean, sd, mean - half, mean + half)


class Paired(NamedTuple):
    """Two models on the same images.

    Attributes:
        difference: Accuracy of the first minus that of the second.
        low: Lower limit of its 95 % bootstrap interval; ``high`` is the upper one.
        only_first: Images that only the first gets right; ``only_second`` likewise.
        p: Of McNemar's exact test, uncorrected.
    """

    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p: float


def paired(first: np.ndarray, second: np.ndarray) -> Paired:
    """Compare two models by which images each gets right, both bool (N,)."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    total = len(first)
    draws = resampled(np.array([only_first, only_second, total - only_first - only_second]))
    low, high = interval((draws[:, 0] - draws[:, 1]) / total)
    difference = (only_first - only_second) / total
    return Paired(difference, low, high, only_first, only_second, mcnemar(only_first, only_second))


def paired_all(right: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Compare every pair of models, the more accurate one first, corrected by Holm for all pairs.

    ``right`` says for each model which of the same images it gets right, bool (N,).

    Returns:
        For each pair ``better`` and ``worse``, the fields of ``Paired`` and ``p_holm``.
    """
    pairs = []
    for one, other in combinations(right, 2):
        better, worse = (one, other) if right[one].sum() >= right[other].sum() else (other, one)
        pairs.append({"better": better, "worse": worse, **paired(right[better], right[worse])._asdict()})
    for pair, p in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
        pair["p_holm"] = p
    return pairs


def paired_classes(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    """Compare the recall of two models class by class, corrected by Holm for the classes.

    ``first`` and ``second`` say which images each model gets right, bool (N,).

    Returns:
        For each class that occurs ``class``, the fields of ``Paired`` and ``p_holm``.
    """
    occurring = np.unique(labels)
    pairs = [paired(first[labels == label], second[labels == label]) for label in occurring]
    corrected = holm([pair.p for pair in pairs])
    return [
        {"class": CLASSES[label], **pair._asdict(), "p_holm": p}
        for label, pair, p in zip(occurring, pairs, corrected, strict=True)
    ]


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    Source: McNemar 1947; under equal accuracy an image on which the models differ favours either with
    probability 1/2. The arguments count the images that one model alone gets right.
    """
    from scipy.stats import binom  # half a second that not every command needs

    fewer, differing = min(only_first, only_second), only_first + only_second
    return min(1.0, 2 * float(binom.cdf(fewer, differing, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's step-down method (Holm 1979)."""
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    corrected = np.minimum(1, np.maximum.accumulate(np.asarray(p_values, float)[order] * factors))
    result = np.empty(len(p_values))
    result[order] = corrected
    return result.tolist()


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)
