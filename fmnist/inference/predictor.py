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
    """

    logits: Callable[[np.ndarray], np.ndarray]
    embeddings: Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class NetworkModel(Model):
    """A trained network.

    Attributes:
        classifier: The LightningModule in evaluation mode; None where the network was loaded without it.
        network: The network in evaluation mode.
    """

    classifier: "Classifier | None"
    network: "nn.Module"


def load_model(folder: Path, device: str = "cpu") -> Model:
    """Load the network, estimator or blend of a folder with ``config.yaml`` and ``checkpoints/``.

    Only networks use the device.

    Raises:
        InputError: There is no model in it, or a damaged one.
    """
    if network_file(folder).exists():
        return _load_network(folder, device)
    # PyTorch and scikit-learn are imported by those who need them: each takes seconds
    from fmnist.baselines import blend, estimator

    if (folder / estimator.FILE).exists():
        return Model(estimator.load_estimator(folder).logits, as_pixels)
    if (folder / blend.FILE).exists():
        members = partial(load_logits, device=device)
        return Model(blend.load_blend(folder, members).logits, as_pixels)
    names = [path.name for path in (*NETWORK_FILES, estimator.FILE, blend.FILE)]
    raise InputError(
        f"{quoted(folder / 'checkpoints')}: holds no model: no {', '.join(names[:-1])} or {names[-1]}"
    )


def load_logits(folder: Path, device: str = "cpu") -> Callable[[np.ndarray], np.ndarray]:
    """Load the model of a folder as a function of images uint8 (N, 28, 28) to logits float32 (N, 10)."""
    return load_model(folder, device).logits


def _load_network(folder: Path, device: str) -> NetworkModel:
    from fmnist.models import weights
    from fmnist.models.layers import embedding
    from fmnist.models.loading import in_batches, load_classifier

    path, classifier = network_file(folder), None
    if path.suffix == weights.SUFFIX:  # it names its network, so nothing waits for the import of Lightning
        network, logits = weights.load(path)
    else:
        classifier = load_classifier(folder).to(device)
        network, logits = classifier.network, classifier.evaluation_logits
    features = embedding(network.to(device))
    return NetworkModel(
        partial(in_batches, logits, device=device),
        partial(in_batches, features, device=device) if features else as_pixels,
        classifier,
        network,
    )


class Predictor:
    """The model of a finished run; it is loaded at the first call. Only networks use the device.

    Raises:
        InputError: The run is not finished.
    """

    def __init__(self, run: Run, device: str = "cpu") -> None:
        if not run.is_scored:
            raise InputError(f"{quoted(run.path)}: is {run.state}, and only a finished run has a model")
        self.run, self.device = run, device

    @cached_property
    def _model(self) -> Model:
        return load_model(self.run.path, self.device)

    @cached_property
    def classifier(self) -> "Classifier":
        """The trained LightningModule, in evaluation mode.

        Raises:
            InputError: The run holds no network, or a damaged one.
        """
        classifier = self._network_model.classifier
        if classifier is None:
            from fmnist.models.loading import load_classifier

            classifier = load_classifier(self.run.path).to(self.device)
        return classifier

    @property
    def network(self) -> "nn.Module":
        """The trained network, in evaluation mode; of a shipped one, Lightning is not imported.

        Raises:
            InputError: The run holds no network, or a damaged one.
        """
        return self._network_model.network

    @property
    def _network_model(self) -> NetworkModel:
        if self.run.kind != "lightning" or not isinstance(self._model, NetworkModel):
            raise InputError(f"{quoted(self.run.path)}: is a {self.run.kind} run and holds no network")
        return self._model

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
