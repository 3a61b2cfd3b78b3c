"""The LightningModule of LeNet-5."""

from typing import Any

from fmnist.models.classifier import Classifier
from fmnist.models.networks import LeNet5


class LitLeNet5(Classifier):
    """Trains a ``LeNet5``."""

    def __init__(self, **training: Any) -> None:
        super().__init__(LeNet5(), **training)
