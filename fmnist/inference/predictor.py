"""A finished run as a function, whatever its kind: images in, logits out."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fmnist.core.errors import InputError, quoted
from fmnist.core.images import as_pixels, check_images
from fmnist.core.runs import NETWORK_FILES, Run, network_file
from fmnist.core.statistics import scores_fault

if TYPE_CHECKING:
    from torch import nn

    from fmnist.models.classifier import Classifier


@dataclass(frozen=True)
class Model:
    """A trained model as functions of images uint8 (N, 28, 28).

    Attributes:
        logits: To float32 (N, 10); of an estimator, log-probabilities or decision scores.
        embeddings: To float32 (N, D), the input of a network's last layer; pixels for any other model.
        network: The network in evaluation mode; None for an estimator or a blend.
    """

    logits: Callable[[np.ndarray], np.ndarray]
    embeddings: Callable[[np.ndarray], np.ndarray]
    network: "nn.Module | None" = None


def load_model(folder: Path) -> Model:
    """Load the network, estimator or blend of a folder with ``config.yaml`` and ``checkpoints/``.

    Raises:
        InputError: There is no model in it, or a damaged one.
    """
    if network_file(folder).exists():
        return _load_network(folder)
    # PyTorch and scikit-learn are imported by those who need them: each takes seconds
    from fmnist.baselines import blend, estimator

    if (folder / estimator.FILE).exists():
        return Model(estimator.load_estimator(folder).logits, as_pixels)
    if (folder / blend.FILE).exists():
        return Model(blend.load_blend(folder, load_logits).logits, as_pixels)
    names = [path.name for path in (*NETWORK_FILES, estimator.FILE, blend.FILE)]
    raise InputError(
        f"{quoted(folder / 'checkpoints')}: holds no model: no {', '.join(names[:-1])} or {names[-1]}"
    )


def load_logits(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Load the model of a folder as a function of images uint8 (N, 28, 28) to logits float32 (N, 10)."""
    return load_model(folder).logits


def _load_network(folder: Path) -> Model:
    from fmnist.models import weights
    from fmnist.models.layers import embedding
    from fmnist.models.loading import in_batches, load_classifier

    path = network_file(folder)
    if path.suffix == weights.SUFFIX:  # it names its network, so nothing waits for the import of Lightning
        network, logits = weights.load(path)
    else:
        classifier = load_classifier(folder)
        network, logits = classifier.network, classifier.evaluation_logits
    features = embedding(network)
    embeddings = partial(in_batches, features) if features else as_pixels
    return Model(partial(in_batches, logits), embeddings, network)


class Predictor:
    """The model of a finished run, which is loaded at the first call.

    Raises:
        InputError: The run is not finished.
    """

    def __init__(self, run: Run) -> None:
        if not run.is_scored:
            raise InputError(f"{quoted(run.path)}: is {run.state}, and only a finished run has a model")
        self.run = run

    @cached_property
    def _model(self) -> Model:
        return load_model(self.run.path)

    @property
    def network(self) -> "nn.Module":
        """The trained network, in evaluation mode; a shipped one does not import Lightning.

        Raises:
            InputError: The run holds no network, or a damaged one.
        """
        if self.run.kind != "lightning" or self._model.network is None:
            raise InputError(f"{quoted(self.run.path)}: is a {self.run.kind} run, it holds no network")
        return self._model.network

    @cached_property
    def classifier(self) -> "Classifier":
        """The trained LightningModule, in evaluation mode, with a copy of the network.

        Raises:
            InputError: The run holds no network, or a damaged one.
        """
        from fmnist.models.loading import load_classifier

        _ = self.network  # refuses a run without one
        return load_classifier(self.run.path)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return logits float32 (N, 10) of images uint8 (N, 28, 28); see ``Model``.

        Raises:
            InputError: The images have another shape or type, or the model is damaged, fails, or gives logits
                that are not numbers.
        """
        check_images(images)
        logits = self._model.logits(images)
        if fault := scores_fault(logits, len(images)):
            raise InputError(f"{quoted(self.run.path)}: its model gives {fault}")
        return logits

    def embeddings(self, images: np.ndarray) -> np.ndarray:
        """Return embeddings float32 (N, D) of images uint8 (N, 28, 28); see ``Model``.

        Raises:
            InputError: The images have another shape or type, the model is damaged, or its embeddings are not
                finite.
        """
        check_images(images)
        embeddings = self._model.embeddings(images)
        if not np.isfinite(embeddings).all():
            raise InputError(f"{quoted(self.run.path)}: its model gives embeddings that are not finite")
        return embeddings
