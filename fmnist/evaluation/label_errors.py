"""Images whose label is probably wrong, by confident learning."""

import numpy as np


def likely_label_errors(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the rows that the model confidently puts into another class than their label.

    A class counts for an image where its probability reaches the mean that the images labelled so get;
    of several, the most probable one. This is the off-diagonal of the confident joint of Northcutt et al.,
    "Confident Learning: Estimating Uncertainty in Dataset Labels", arXiv 1911.00068, equation 1, less the
    images on which the model agrees with the label after all, as in their library cleanlab.

    Args:
        probabilities: Out of sample, (N, C).
        labels: int64 (N,).

    Returns:
        Their places, int64 (k,), those with the least probability of their label first.
    """
    own = probabilities[np.arange(len(labels)), labels]
    classes = probabilities.shape[1]
    means = [own[labels == label].mean() if (labels == label).any() else np.inf for label in range(classes)]
    reached = probabilities >= np.array(means)
    confident = np.where(reached, probabilities, -1).argmax(1)
    doubted = (confident != labels) & (probabilities.argmax(1) != labels)
    suspects = np.flatnonzero(reached.any(1) & doubted)
    return suspects[np.argsort(own[suspects], kind="stable")]
