"""What a finished run did on the test set, in three figures."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fmnist.figures.charts import confusion_matrix, per_class_bars
from fmnist.figures.grids import worst_errors


def outcome_figures(
    images: ArrayLike,
    labels: NDArray[np.int64],
    scores: ArrayLike,
    classes: Sequence[str],
    name: str,
    probabilities: bool = True,
) -> dict[str, Figure]:
    """Draw confusion matrix, F1 by class and the most confident errors.

    Args:
        images: uint8 ``(N, 28, 28)``.
        labels: ``(N,)``.
        scores: ``(N, C)``: the largest is the prediction, and its size the confidence in it.
        classes: The ``C`` names.
        name: Of the model.
        probabilities: Whether the scores are; others order the errors, and are not written.
    """
    scores = np.asarray(scores)
    predicted = scores.argmax(1)
    size = len(classes)
    counts = np.bincount(labels * size + predicted, minlength=size**2).reshape(size, size)
    f1 = 2 * counts.diagonal() / np.maximum(counts.sum(0) + counts.sum(1), 1)
    return {
        "confusion_matrix": confusion_matrix(counts, classes, f"{name} on the test set"),
        "class_f1": per_class_bars({"test": f1.tolist()}, classes, "F1"),
        "worst_errors": worst_errors(
            images, labels, predicted, scores.max(1), classes, written=probabilities
        ),
    }
