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
        roots: Take the square roots of the pixels, so that weak edges count more.
    """

    def __init__(
        self,
        widths: tuple[int, ...] = (512, 256),
        dropout: float = 0.0,
        batch_norm: bool = False,
        roots: bool = False,
        **training: Any,
    ) -> None:
        super().__init__(MLP(widths, dropout, batch_norm, roots=roots), **training)
