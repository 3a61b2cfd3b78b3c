"""Metrics of an epoch, and the buffer that collects its logits and labels."""

from typing import Any

import torch
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)

from fmnist.core.constants import CLASSES
from fmnist.core.metrics import METRICS


def classification_metrics() -> MetricCollection:
    """Return the metrics of an epoch, each of logits (N, 10) and labels (N,), beside ``logged_metrics``.

    They get whole epochs, already gathered from all processes, so they never synchronise.
    """
    kwargs: dict[str, Any] = {"num_classes": len(CLASSES), "validate_args": False, "sync_on_compute": False}
    return MetricCollection(
        {
            "accuracy": MulticlassAccuracy(average="micro", **kwargs),
            "precision": MulticlassPrecision(average="macro", **kwargs),
            "recall": MulticlassRecall(average="macro", **kwargs),
            "f1": MulticlassF1Score(average="macro", **kwargs),
            "class_accuracy": MulticlassAccuracy(average="none", **kwargs),
            "confusion_matrix": MulticlassConfusionMatrix(**kwargs),
        }
    )


def logged_names(photographs: bool = False) -> list[str]:
    """Return the names of everything that a training logs after an epoch, e.g. ``val/accuracy``.

    Args:
        photographs: Whether it validates on photographs, too.
    """
    metrics = classification_metrics()
    metrics.update(torch.zeros(len(CLASSES), len(CLASSES)), torch.arange(len(CLASSES)))
    names = [name for name, value in metrics.compute().items() if not value.ndim]
    names += [metric.name for metric in METRICS if metric.logged and metric.name not in names]
    validation = [f"val/{name}" for name in ("loss", *names, *["photographs"] * photographs)]
    return [*validation, "train/loss", "train/accuracy", "learning_rate", "images_per_second", "seconds"]


def plain_metrics(results: dict[str, Tensor]) -> dict[str, Any]:
    """Return metrics for JSON: numbers, lists, and the accuracy of each class by its name."""
    # float64 of a rounded float32 would have nine more digits that mean nothing
    plain: dict[str, Any] = {
        name: round(value.item(), 7) if not value.ndim else value.tolist() for name, value in results.items()
    }
    accuracies = (round(value, 7) for value in plain["class_accuracy"])
    plain["class_accuracy"] = dict(zip(CLASSES, accuracies, strict=True))
    return plain


class EpochBuffer:
    """Collects the logits, labels and indices of an epoch in memory that the next epoch uses again.

    A list of the small tensors of each step would fragment the heap, which then grows.
    """

    def __init__(self) -> None:
        self._columns: list[Tensor] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, *columns: Tensor) -> None:
        """Copy a batch: logits, labels and so on, each (n, ...)."""
        end = self._size + len(columns[0])
        if not self._columns:
            self._columns = [column.new_empty(end, *column.shape[1:]) for column in columns]
        if self._columns[0].device != columns[0].device:  # after a checkpoint, or a move
            self._columns = [kept.to(columns[0].device) for kept in self._columns]
        if end > len(self._columns[0]):
            more = max(end - len(self._columns[0]), len(self._columns[0]))
            self._columns = [
                torch.cat([kept, kept.new_empty(more, *kept.shape[1:])]) for kept in self._columns
            ]
        for kept, column in zip(self._columns, columns, strict=True):
            kept[self._size : end] = column
        self._size = end

    def columns(self) -> list[Tensor]:
        """Return all since the last ``clear``, each (N, ...); views, which the next epoch overwrites."""
        return [column[: self._size] for column in self._columns]

    def clear(self) -> None:
        """Forget all of them; the memory stays for the next epoch."""
        self._size = 0
