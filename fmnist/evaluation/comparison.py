"""Statistics between runs that answered for the same images."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import binom

from fmnist.evaluation.metrics import interval, resampled

LEVEL = 0.05


class Paired(NamedTuple):
    """Two models on the same images.

    Attributes:
        difference: Accuracy of the first less that of the second.
        low: Of the 95 % bootstrap interval of the difference.
        high: Of the same.
        only_first: Images that only the first gets right.
        only_second: Images that only the second gets right.
        p: Of McNemar's exact test, uncorrected.
    """

    difference: float
    low: float
    high: float
    only_first: int
    only_second: int
    p: float


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test.

    Source: McNemar 1947; under equal accuracy an image on which the models differ favours either with
    probability 1/2.

    Args:
        only_first: Images that only the first model gets right.
        only_second: Images that only the second model gets right.
    """
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


def compare(first: np.ndarray, second: np.ndarray) -> Paired:
    """Compare two models by which images each gets right, both bool (N,)."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    total = len(first)
    draws = resampled(np.array([only_first, only_second, total - only_first - only_second]))
    low, high = interval((draws[:, 0] - draws[:, 1]) / total)
    difference = (only_first - only_second) / total
    return Paired(difference, low, high, only_first, only_second, mcnemar(only_first, only_second))


def compare_all(right: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Compare every pair of models, the more accurate one first, corrected by Holm for all pairs.

    Args:
        right: By model, which images it gets right, bool (N,), the same images for all.

    Returns:
        For each pair ``better`` and ``worse``, the fields of ``Paired`` and ``p_holm``.
    """
    pairs = []
    for one, other in combinations(right, 2):
        better, worse = (one, other) if right[one].sum() >= right[other].sum() else (other, one)
        pairs.append({"better": better, "worse": worse, **compare(right[better], right[worse])._asdict()})
    for pair, p in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
        pair["p_holm"] = p
    return pairs


def compare_classes(
    first: np.ndarray, second: np.ndarray, labels: np.ndarray, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Compare the recall of two models class by class, corrected by Holm for the classes."""
    found = [compare(first[labels == label], second[labels == label]) for label in np.unique(labels)]
    corrected = holm([pair.p for pair in found])
    return [
        {"class": classes[label], **pair._asdict(), "p_holm": p}
        for label, pair, p in zip(np.unique(labels), found, corrected, strict=True)
    ]


def agreement(predicted: dict[str, np.ndarray]) -> np.ndarray:
    """Return the share of images on which two models say the same class, (M, M)."""
    answers = np.stack(list(predicted.values()))
    return np.array([(answers == row).mean(1) for row in answers])


def all_wrong(right: dict[str, np.ndarray]) -> np.ndarray:
    """Return the images that every model gets wrong, as places (k,)."""
    return np.flatnonzero(~np.stack(list(right.values())).any(0))


def only_right(right: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return for each model the images that it alone gets right, as places (k,)."""
    alone = np.stack(list(right.values())).sum(0) == 1
    return {name: np.flatnonzero(alone & hits) for name, hits in right.items()}


def sentence(pair: dict[str, Any]) -> str:
    """Say a pair's result in words."""
    numbers = (
        f"{points(pair['difference'])} points (95 % {points(pair['low'])} to {points(pair['high'])}), "
        f"{p_text(pair['p_holm'])}"
    )
    if pair["p_holm"] < LEVEL:
        return f"{pair['better']} is better than {pair['worse']}: {numbers}"
    return f"no difference between {pair['better']} and {pair['worse']} can be shown: {numbers}"


def points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    text = f"{100 * share:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text.replace("-", "−")


def p_text(p: float) -> str:
    """Return a p-value as journals print it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
