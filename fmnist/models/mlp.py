"""Multilayer perceptron on flattened pixels."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from fmnist.core.constants import IMAGE_SIZE
from fmnist.models.classifier import Classifier
from fmnist.models.layers import Normalize, check_widths


class MLP(nn.Module):
    """Dense layers with ReLU, batch normalisation and dropout as options.

    Args:
        widths: Units of each hidden layer.
        dropout: Probability that a hidden unit is dropped.
        batch_norm: Normalise before each ReLU (Ioffe and Szegedy 2015, arXiv 1502.03167).
        num_classes: Number of logits.
    """

    def __init__(
        self,
        widths: Sequence[int] = (512, 256),
        dropout: float = 0.0,
        batch_norm: bool = False,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        check_widths("widths", widths)
        layers: list[nn.Module] = [Normalize(), nn.Flatten()]
        inputs = IMAGE_SIZE**2
        for width in widths:
            layers.append(nn.Linear(inputs, width, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm1d(width))
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
            inputs = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the last hidden layer, (N, widths[-1]), of images (N, 1, 28, 28)."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


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
