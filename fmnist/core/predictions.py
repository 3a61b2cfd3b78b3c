"""The predictions of a run: logits, labels and indices, and the file that keeps them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError, quoted
from fmnist.core.files import write_arrays
from fmnist.core.statistics import scores_fault, softmax


@dataclass(frozen=True)
class Predictions:
    """The outputs of a model for a set of images.

    Attributes:
        logits: float32 (N, 10); of an estimator without probabilities, its decision scores.
        labels: int64 (N,), the true classes.
        indices: int64 (N,) into the source file.
    """

    logits: np.ndarray
    labels: np.ndarray
    indices: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """The class of each image's highest logit, int64 (N,)."""
        return self.logits.argmax(1)

    @property
    def accuracy(self) -> float:
        """Share of the images whose predicted class is their label."""
        return float((self.predicted == self.labels).mean())

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float64 (N, 10)."""
        return softmax(self.logits)

    def report(self) -> str:
        """Return precision, recall, F1 and support of each class, as scikit-learn prints them."""
        from sklearn.metrics import classification_report

        return classification_report(
            self.labels,
            self.predicted,
            labels=range(len(CLASSES)),
            target_names=CLASSES,
            digits=4,
            zero_division=0,
        )


def write_predictions(path: Path, predictions: Predictions, compact: bool = False) -> None:
    """Write a file of predictions, atomically.

    ``compact`` writes the logits as float16 and compresses all, to a third of the size.

    Raises:
        InputError: The logits are not numbers; nothing is written.
    """
    logits = predictions.logits.astype(np.float32)
    if fault := scores_fault(logits, len(predictions.labels)):
        raise InputError(f"{quoted(path)}: is not written, as the model gives {fault}")
    arrays = {
        "logits": logits.astype(np.float16) if compact else logits,
        "labels": predictions.labels.astype(np.int64),
        "indices": predictions.indices.astype(np.int64),
    }
    write_arrays(path, arrays, compress=compact)


def read_predictions(path: Path) -> Predictions:
    """Read a file of predictions and check its arrays.

    Raises:
        FileNotFoundError: There is none.
        InputError: It is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            predictions = Predictions(arrays["logits"], arrays["labels"], arrays["indices"])
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged archive raises nearly anything
        raise InputError(f"{quoted(path)}: is damaged ({error})") from None
    if fault := _fault(predictions):
        raise InputError(f"{quoted(path)}: is damaged (holds {fault})")
    if fault := scores_fault(predictions.logits, len(predictions.labels)):
        raise InputError(f"{quoted(path)}: holds {fault}; train again, or leave this run out")
    if predictions.logits.dtype == np.float16:  # of a shipped network
        predictions = replace(predictions, logits=predictions.logits.astype(np.float32))
    return predictions


def _fault(predictions: Predictions) -> str | None:
    """Return what keeps arrays from being predictions, or None."""
    logits, labels, indices = predictions.logits, predictions.labels, predictions.indices
    size = len(labels) if labels.ndim == 1 else 0
    faults = {
        "no images": size == 0,
        f"logits {logits.shape}, not (N, {len(CLASSES)})": logits.shape != (size, len(CLASSES)),
        "logits that are not floats": logits.dtype.kind != "f",
        f"indices {indices.shape}, not (N,)": indices.shape != (size,),
        "labels that are no whole numbers": labels.dtype.kind not in "iu",
        "indices that are no whole numbers": indices.dtype.kind not in "iu",
    }
    if fault := next((fault for fault, true in faults.items() if true), None):
        return fault
    if not (labels.min() >= 0 and labels.max() < len(CLASSES)):
        return f"labels from {labels.min()} to {labels.max()}, not 0..{len(CLASSES) - 1}"
    return "images twice" if len(np.unique(indices)) != size else None
