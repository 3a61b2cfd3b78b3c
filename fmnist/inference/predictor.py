"""Any finished run as a function: images in, logits out."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fmnist.core.errors import InputError
from fmnist.core.images import check_images
from fmnist.core.runs import Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from fmnist.baselines.estimators import FittedEstimator
    from fmnist.models.classifier import Classifier


class Predictor:
    """A finished run, network or scikit-learn estimator, that answers for images.

    Args:
        run: The run; its model is loaded at the first call.
        device: Where a network works.

    Raises:
        InputError: The run is not finished.
    """

    def __init__(self, run: Run, device: str = "cpu") -> None:
        status = run.record.get("status")
        if status != "finished":
            raise InputError(f"{run.path}: is {status}, and only a finished run has a model to ask")
        self.run, self.device = run, device

    @cached_property
    def classifier(self) -> "Classifier":
        """The trained LightningModule, in evaluation mode.

        Raises:
            InputError: The run holds no network, or a damaged one.
        """
        from fmnist.models.loading import load_classifier

        if self.run.record.get("kind") != "lightning":
            raise InputError(f"{self.run.path}: is a {self.run.record.get('kind')} run, it holds no network")
        return load_classifier(self.run.path).to(self.device)

    @cached_property
    def _estimator(self) -> "FittedEstimator":
        from fmnist.baselines.estimators import load_estimator

        return load_estimator(self.run)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return what the run's ``predictions/`` hold, for other images.

        Args:
            images: uint8 (N, 28, 28).

        Returns:
            float32 (N, 10): logits; of an estimator, log-probabilities or decision scores.

        Raises:
            InputError: The images have another shape or type, or the model is damaged.
        """
        check_images(images)
        if self.run.record.get("kind") == "scikit-learn":
            return self._estimator.scores(images)
        return self._apply(self.classifier.evaluation_logits, images)

    def embeddings(self, images: np.ndarray) -> np.ndarray:
        """Return the input of the network's last layer, float32 (N, D), for images uint8 (N, 28, 28).

        Raises:
            InputError: The run holds no network, or the images have another shape or type.
        """
        network: Any = self.classifier.network
        return self._apply(network.features, images)

    def _apply(self, function: "Callable[[Tensor], Tensor]", images: np.ndarray) -> np.ndarray:
        from fmnist.models.loading import in_batches

        return in_batches(function, images, device=self.device)
