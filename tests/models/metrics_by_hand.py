"""Metrics written out by hand, to compare with."""

import numpy as np


def calibration_error(probabilities: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """Return the expected calibration error of Guo et al. 2017 (arXiv 1706.04599, eq. 3)."""
    confidence, hits = probabilities.max(1), probabilities.argmax(1) == labels
    error = 0.0
    for lower in np.arange(bins) / bins:
        inside = (confidence > lower) & (confidence <= lower + 1 / bins)
        if inside.any():
            error += inside.mean() * abs(hits[inside].mean() - confidence[inside].mean())
    return error
