"""What a finished baseline leaves for people and later steps: metrics, figures, TensorBoard's pages."""

import csv
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

from fmnist import figures
from fmnist.baselines.config import Config
from fmnist.baselines.estimators import Scores
from fmnist.core.constants import CLASSES
from fmnist.core.runs import Predictions, Run
from fmnist.models.metrics import classification_metrics, plain_metrics


def measure(predictions: Predictions, kind: Scores) -> dict[str, Any]:
    """Return the networks' metrics, under the same names, as far as the scores have a meaning for them.

    Loss and calibration need probabilities; the second best class needs scores of any kind.
    """
    logits, labels = torch.from_numpy(predictions.logits), torch.from_numpy(predictions.labels)
    results = {"loss": F.cross_entropy(logits, labels), **classification_metrics()(logits, labels)}
    if kind != "log-probabilities":
        del results["loss"], results["calibration_error"]
    if kind == "decisions":
        del results["top2_accuracy"]
    return {"images": len(labels), **plain_metrics(results)}


def write_table(run: Run, losses: Sequence[float]) -> None:
    """Write ``metrics.csv``: a row an epoch where the estimator tells its losses, the last with the rest.

    Args:
        run: The run, its metrics recorded.
        losses: Training loss by epoch; empty for estimators without epochs.
    """
    rows: list[dict[str, Any]] = [{"epoch": epoch, "train/loss": loss} for epoch, loss in enumerate(losses)]
    rows = rows or [{"epoch": 0}]
    validation = run.record["metrics"].get("val", {})
    numbers = {name: value for name, value in validation.items() if isinstance(value, float)}
    rows[-1] |= {f"val/{name}": value for name, value in numbers.items()}
    rows[-1]["seconds"] = run.record["fit_seconds"]
    path = run.path / "metrics.csv"
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)), restval="")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, path)


def draw_figures(run: Run, test: Predictions, kind: Scores, images: np.ndarray) -> dict[str, Any]:
    """Draw confusion matrix, F1 by class, worst errors and, if there is one, the loss into ``figures/``.

    Args:
        run: The run, its ``metrics.csv`` written.
        test: Of the test set.
        kind: What the logits are.
        images: uint8 (N, 28, 28), the test images.

    Returns:
        The figures by name.
    """
    known = kind == "log-probabilities"
    scores = test.probabilities if known else test.logits
    name = run.record["name"]
    drawn = figures.outcome_figures(images, test.labels, scores, CLASSES, name, probabilities=known)
    curves = {name: (epochs + 1, values) for name, (epochs, values) in run.history().items()}
    if "train/loss" in curves:
        drawn["curves"] = figures.learning_curves({"train/loss": curves["train/loss"]})
    for name, figure in drawn.items():
        figures.save(figure, run.path / "figures" / f"{name}.png")
    return drawn


def write_tensorboard(run: Run, drawn: dict[str, Any], config: Config) -> None:
    """Write event files: the curves of ``metrics.csv``, the figures, and hyperparameters with accuracies."""
    estimator = config.estimator or {}
    hparams = {"seed": config.seed, "features": str(config.features), "blend": str(config.blend)}
    hparams |= {"estimator": str(estimator.get("class_path"))}
    hparams |= {name: str(value) for name, value in (estimator.get("init_args") or {}).items()}
    metrics = {f"final/{part}_accuracy": values["accuracy"] for part, values in run.record["metrics"].items()}
    with SummaryWriter(str(run.path)) as writer:
        for name, (epochs, values) in run.history().items():
            for epoch, value in zip(epochs, values, strict=True):
                writer.add_scalar(name, value, epoch)
        for name, figure in drawn.items():
            writer.add_image(f"figures/{name}", figures.as_image(figure), dataformats="HWC")
        writer.add_hparams(hparams, metrics, run_name=".")
