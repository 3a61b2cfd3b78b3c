"""Figures and TensorBoard pages of a finished training."""

import copy
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from fmnist import figures
from fmnist.core.constants import CLASSES
from fmnist.core.images import to_input
from fmnist.core.runs import Predictions, Run
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models.classifier import Classifier

EMBEDDED = 4_000  # test images in the projector


def draw_figures(run: Run, test: Predictions, data: FashionMNISTDataModule) -> dict[str, Any]:
    """Draw curves, confusion matrix, per-class F1, worst errors and augmented images into ``figures/``.

    Args:
        run: The run, its ``metrics.csv`` written.
        test: Of the test set.
        data: Set up.

    Returns:
        The figures by name.
    """
    originals, augmented = augmented_images(data)
    drawn = {
        "curves": figures.learning_curves(
            {name: (epochs + 1, values) for name, (epochs, values) in run.history().items()}
        ),
        **figures.outcome_figures(
            data.data.test_images.numpy()[test.indices],
            test.labels,
            test.probabilities,
            CLASSES,
            run.record["name"],
        ),
        "augmented": figures.augmented_grid(originals, augmented),
    }
    for name, figure in drawn.items():
        figures.save(figure, run.path / "figures" / f"{name}.png")
    return drawn


def augmented_images(
    data: FashionMNISTDataModule, rows: int = 6, epochs: int = 9
) -> tuple[np.ndarray, np.ndarray]:
    """Return training images (rows, 28, 28) and how each epoch sees them (rows, epochs, 28, 28)."""
    loader = data.train_dataloader()
    # one image of each of the first classes
    labels = data.data.train_labels[data.train_indices]
    indices = torch.stack([data.train_indices[labels == label][0] for label in labels.unique()[:rows]])
    views = []
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        views.append(loader.augmenter.batch(indices.to(loader.augmenter.labels.device))[0][:, 0].cpu())
    return data.data.train_images[indices].numpy(), torch.stack(views, 1).numpy()


def write_tensorboard(
    run: Run, drawn: dict[str, Any], model: Classifier, data: FashionMNISTDataModule
) -> None:
    """Add figures, model graph, embedding projector and hyperparameters to the run's event files.

    Args:
        run: The run, its metrics recorded.
        drawn: Figures by name.
        model: The trained model; there is a projector if its network has a method ``features``.
        data: Set up.
    """
    network = copy.deepcopy(model.network).cpu().eval()  # a copy is never compiled, so it can be traced
    # TensorBoard holds the sprite several times over in float64: all 10,000 images would take 0.5 GB
    images = to_input(data.data.test_images[:EMBEDDED])
    names = [CLASSES[label] for label in data.data.test_labels[:EMBEDDED]]
    metrics = {f"final/{part}_accuracy": values["accuracy"] for part, values in run.record["metrics"].items()}
    hparams = hyperparameters(run.config, model, data)
    plain = {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in hparams.items()
    }
    with SummaryWriter(str(run.path)) as writer, torch.no_grad():
        for name, figure in drawn.items():
            writer.add_image(f"figures/{name}", figures.as_image(figure), dataformats="HWC")
        writer.add_graph(network, images[:1])
        if embed := getattr(network, "features", None):
            features = torch.cat([embed(batch) for batch in images.split(250)])
            writer.add_embedding(principal_components(features), names, 1 - images, tag="test_embedding")
        writer.add_hparams(plain, metrics, run_name=".")


def hyperparameters(
    config: dict[str, Any], model: Classifier, data: FashionMNISTDataModule
) -> dict[str, Any]:
    """Return what may differ between two runs, by name, for loggers that compare runs.

    Args:
        config: As ``config.yaml`` holds it.
        model: Of the run.
        data: Likewise.
    """
    trainer = ("max_epochs", "max_steps", "precision", "accumulate_grad_batches", "gradient_clip_val")
    return {
        "network": type(model.network).__name__,
        "seed": data.seed,
        **{name: config.get(name) for name in ("ema", "early_stopping")},
        **{name: config.get("trainer", {}).get(name) for name in trainer},
        "batch_size": data.batch_size,
        "val_size": data.val_size,
        "train_size": data.train_size,
        "split_seed": data.split_seed,
        **asdict(data.augmentation),
        **model.hparams,
    }


def principal_components(features: Tensor, largest: int = 64) -> Tensor:
    """Return features (N, D) in the basis of their leading principal components, (N, min(D, largest)).

    TensorBoard keeps embeddings as text, so that hundreds of dimensions take it minutes to show.
    """
    centred = features - features.mean(0)
    _, directions = torch.linalg.eigh(centred.T @ centred)  # by rising variance
    return centred @ directions.flip(1)[:, :largest]


def add_curve_charts(writer: SummaryWriter) -> None:
    """Lay out charts that hold training and validation curves together (TensorBoard's custom scalars)."""
    charts = {name: ["Multiline", [f"train/{name}", f"val/{name}"]] for name in ("loss", "accuracy")}
    writer.add_custom_scalars({"training and validation": charts})
