"""The LightningModule of the CNN."""

from typing import Any

from fmnist.models.classifier import Classifier
from fmnist.models.networks import CNN


class LitCNN(Classifier):
    """Trains a ``CNN``.

    Args:
        stem_width: Channels of the stem.
        widths: Channels of the stages.
        residual: End each stage with a residual block.
    """

    def __init__(
        self,
        stem_width: int = 24,
        widths: tuple[int, ...] = (32, 64, 128),
        residual: bool = False,
        **training: Any,
    ) -> None:
        super().__init__(CNN(stem_width, widths, residual=residual), **training)
