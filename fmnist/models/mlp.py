"""The LightningModule of the MLP."""

from typing import Any

from fmnist.models.classifier import Classifier
from fmnist.models.networks import MLP


class LitMLP(Classifier):
    """Trains an ``MLP``.

    Args:
        widths: Units of each hidden layer.
        dropout: Probability that a hidden unit is dropped.
        batch_norm: Normalise before each ReLU.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (512, 256),
        dropout: float = 0.0,
        batch_norm: bool = False,
        **training: Any,
    ) -> None:
        super().__init__(MLP(widths, dropout, batch_norm), **training)
