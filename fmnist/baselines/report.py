"""The results of a finished baseline: metrics, figures, TensorBoard's events."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

from fmnist import figures
from fmnist.baselines.config import Config
from fmnist.baselines.estimator import ScoreType
from fmnist.core.calibration import calibrated_probabilities
from fmnist.core.constants import CLASSES
from fmnist.core.files import write_file
from fmnist.core.metrics import logged_metrics
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.core.tables import Table
from fmnist.models.metrics import classification_metrics, plain_metrics


def measure(predictions: Predictions, score_type: ScoreType) -> dict[str, Any]:
    """Return the networks' metrics, under the same names, as far as the logits have a meaning for them.

    Loss and calibration need probabilities; the second best class needs scores of any kind.
    """
    logits, labels = torch.from_numpy(predictions.logits), torch.from_numpy(predictions.labels)
    metrics = {"loss": F.cross_entropy(logits, labels), **classification_metrics()(logits, labels)}
    more = logged_metrics(predictions.logits, predictions.labels, metrics, score_type)
    metrics |= {name: torch.tensor(value) for name, value in more.items()}
    if score_type != "log-probabilities":
        del metrics["loss"]
    return {"images": len(labels), **plain_metrics(metrics)}


def write_table(run: Run, losses: Sequence[float]) -> None:
    """Write ``metrics.csv``: a row for each epoch's training loss; the last row has the other values, too.

    An estimator without epochs has one row. The run's metrics must have been recorded.
    """
    rows: list[dict[str, Any]] = [{"epoch": epoch, "train/loss": loss} for epoch, loss in enumerate(losses)]
    rows = rows or [{"epoch": 0}]
    validation = run.record["metrics"].get("val", {})
    rows[-1] |= {f"val/{name}": value for name, value in validation.items() if isinstance(value, float)}
    rows[-1]["seconds"] = run.record["fit_seconds"]
    full = [{name: row.get(name, "") for name in rows[0] | rows[-1]} for row in rows]
    write_file(run.path / "metrics.csv", Table("metrics", "Metrics by epoch", (), full).csv())


def draw_figures(run: Run, test: Predictions, images: np.ndarray) -> dict[str, Any]:
    """Draw confusion matrix, F1 by class, worst errors and, if there is one, the loss into ``figures/``.

    The run's record, ``metrics.csv`` and predictions are written; the test images are uint8 (N, 28, 28).
    """
    normalised = run.score_type == "log-probabilities"
    scores = calibrated_probabilities(run, test.logits) if normalised else test.logits
    drawn = figures.outcome_figures(
        images, test.labels, scores, CLASSES, run.record["name"], probabilities=normalised
    )
    if "train/loss" in (history := run.history()):
        epochs, losses = history["train/loss"]
        drawn["curves"] = figures.learning_curves({"train/loss": (epochs + 1, losses)})
    for name, figure in drawn.items():
        figures.save(figure, run.path / "figures" / f"{name}.png")
    return drawn


def write_tensorboard(run: Run, drawn: dict[str, Any], config: Config) -> None:
    """Write event files: the curves of ``metrics.csv``, the figures, and hyperparameters with accuracies."""
    estimator = config.estimator or {}
    hparams = {"seed": config.seed_everything, "features": str(config.features), "blend": str(config.blend)}
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
