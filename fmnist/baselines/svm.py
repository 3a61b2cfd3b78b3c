"""Decision scores of a fitted support vector classifier, as fast as its kernel can be multiplied out."""

import numpy as np
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.svm import SVC

KERNELS = ("linear", "poly", "rbf", "sigmoid")
ROWS = 2_000  # a kernel matrix of 30,000 support vectors then takes 240 MB


def decision_scores(svc: SVC, x: np.ndarray) -> np.ndarray:
    """Return what ``svc.decision_function`` does, by matrix products in float32.

    libsvm evaluates the kernel pair by pair in float64 on one core: 92 s for the 10,000 test images,
    where this takes a few.

    Args:
        svc: Fitted on more than two classes, with one of ``KERNELS``.
        x: float32 (N, D).

    Returns:
        float32 (N, C): the pairs of classes that each class wins, plus a share below 1/3 that ranks ties.
    """
    vectors = svc.support_vectors_.astype(np.float32)
    parts = np.split(x, range(ROWS, len(x), ROWS))
    return np.concatenate([_votes(svc, _kernel(svc, part, vectors)) for part in parts])


def _kernel(svc: SVC, x: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    parameters = {"gamma": svc._gamma, "degree": svc.degree, "coef0": svc.coef0}
    return pairwise_kernels(x, vectors, metric=svc.kernel, filter_params=True, **parameters)


def _votes(svc: SVC, kernel: np.ndarray) -> np.ndarray:
    """Return scores (N, C) from kernel values (N, V) with the support vectors, which are sorted by class.

    Row ``r`` of ``dual_coef_`` (C - 1, V) holds what a vector of class ``i`` weighs against class ``r``,
    or ``r + 1`` from ``i`` on. Ties are ranked as by ``sklearn.multiclass.OneVsOneClassifier``.
    """
    count = len(svc.classes_)
    ends = np.cumsum(svc.n_support_)
    weights = np.split(svc.dual_coef_.astype(np.float32), ends[:-1], axis=1)
    # for each class, what its vectors add to its pairs (N, C - 1)
    sums = [part @ w.T for part, w in zip(np.split(kernel, ends[:-1], axis=1), weights, strict=True)]
    wins, confidence = np.zeros((2, len(kernel), count), np.float32)
    pairs = ((first, second) for first in range(count) for second in range(first + 1, count))
    for (first, second), intercept in zip(pairs, svc.intercept_, strict=True):
        margin = sums[first][:, second - 1] + sums[second][:, first] + np.float32(intercept)
        wins[:, first] += margin >= 0
        wins[:, second] += margin < 0
        confidence[:, first] += margin
        confidence[:, second] -= margin
    return wins + confidence / (3 * (np.abs(confidence) + 1))
