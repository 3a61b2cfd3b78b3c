"""Figures and TensorBoard pages of a finished training."""

import contextlib
import copy
import io
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from fmnist import figures
from fmnist.core.calibration import calibrated_probabilities
from fmnist.core.constants import CLASSES
from fmnist.core.errors import is_unwritable
from fmnist.core.images import to_input
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run, describe
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models.classifier import Classifier
from fmnist.models.layers import embedding
from fmnist.training.teachers import TEACHER_FLAGS

EMBEDDED, COMPONENTS = 4_000, 64  # test images in the projector, and the most components of each


def draw_figures(run: Run, test: Predictions | None, data: FashionMNISTDataModule) -> dict[str, Any]:
    """Draw curves, confusion matrix, per-class F1, worst errors and augmented images into ``figures/``.

    What cannot be drawn is left out with a warning. Of a run that was not tested, ``test`` is ``None`` and
    the curves alone are drawn. The run's ``metrics.csv`` and predictions are written before.

    Returns:
        The figures by name.
    """
    drawn: dict[str, Any] = {}
    with optional("the learning curves"):
        history = {name: (epochs + 1, values) for name, (epochs, values) in run.history().items()}
        drawn["curves"] = figures.learning_curves(history)
    if test is not None:
        with optional("the figures of the test set"):
            images = data.data.test_images.numpy()[test.indices]
            probabilities = calibrated_probabilities(run, test.logits)
            drawn |= figures.outcome_figures(images, test.labels, probabilities, CLASSES, run.record["name"])
        with optional("the augmented images"):
            drawn["augmented"] = figures.augmented_grid(*augmented_images(data))
    for name, figure in drawn.items():
        with optional(f"figures/{name}.png"):
            figures.save(figure, run.path / "figures" / f"{name}.png")
    return drawn


@contextlib.contextmanager
def optional(what: str) -> Iterator[None]:
    """Leave out what fails in the block, with a warning: the training is done, and its results are saved.

    Raises:
        OSError: The disk is full, or the run folder cannot be written for another reason.
    """
    try:
        yield
    except Exception as error:
        if is_unwritable(error):
            raise
        print(f"warning: {what} left out ({describe(error):.300})", file=sys.stderr)


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

    What cannot be added, like the graph of a network that cannot be traced, is left out with a warning. There
    is a projector if the network has a method ``features``. The run's metrics are recorded before.
    """
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
        writer.add_hparams(plain, metrics, run_name=".")
        if not run.is_tested:  # the graph is drawn with test images, the projector of them
            return
        network = None
        with optional("the network's graph in TensorBoard"), contextlib.redirect_stdout(io.StringIO()):
            # a copy is never compiled, so it can be traced; float32 whatever it was trained in
            network = copy.deepcopy(model.network).cpu().float().eval()
            writer.add_graph(network, images[:1])
        if network is None:
            return
        if embed := embedding(network):
            with optional("the projector in TensorBoard"):
                from sklearn.decomposition import PCA  # a second that a run without a projector need not wait

                features = torch.cat([embed(batch) for batch in images.split(250)])
                # TensorBoard keeps embeddings as text: hundreds of dimensions take it minutes to show
                components = PCA(min(COMPONENTS, *features.shape), svd_solver="covariance_eigh")
                writer.add_embedding(
                    components.fit_transform(features.numpy()), names, 1 - images, tag="test_embedding"
                )
        else:
            name = type(network).__name__
            print(f"no projector: {name} has no method features that returns vectors (N, D)")


def hyperparameters(
    config: dict[str, Any], model: Classifier, data: FashionMNISTDataModule
) -> dict[str, Any]:
    """Return what may differ between two runs, by name, for loggers that compare runs."""
    trainer = ("max_epochs", "max_steps", "precision", "accumulate_grad_batches", "gradient_clip_val")
    sizes_and_split = ("batch_size", "val_size", "train_size", "split_seed", "fold")
    return {
        "network": type(model.network).__name__,
        "seed": data.seed,
        **{name: config.get(name) for name in ("ema", "early_stopping", "init", "teachers", *TEACHER_FLAGS)},
        **{name: config.get("trainer", {}).get(name) for name in trainer},
        **{name: getattr(data, name) for name in sizes_and_split},
        "photographs": data.photograph_folder,
        "photograph_share": data.photograph_share if data.photograph_folder else None,
        **asdict(data.augmentation),
        **model.hparams,
    }


def add_curve_charts(writer: SummaryWriter) -> None:
    """Lay out charts that hold training and validation curves together (TensorBoard's custom scalars)."""
    charts = {name: ["Multiline", [f"train/{name}", f"val/{name}"]] for name in ("loss", "accuracy")}
    writer.add_custom_scalars({"training and validation": charts})
