"""The LightningModule of LeNet-5."""

from typing import Any

from fmnist.models.classifier import Classifier
from fmnist.models.networks import LeNet5


class LitLeNet5(Classifier):
    """Trains a ``LeNet5``.

    Args:
        roots: Take the square roots of the pixels, so that weak edges count more.
    """

    def __init__(self, roots: bool = False, **training: Any) -> None:
        super().__init__(LeNet5(roots=roots), **training)
