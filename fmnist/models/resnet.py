"""The LightningModule of the residual networks."""

from typing import Any, Literal

from fmnist.models.classifier import Classifier
from fmnist.models.networks import ResNet


class LitResNet(Classifier):
    """Trains a ``ResNet``.

    Args:
        depth: Weighted layers: 6n + 2 for basic blocks, 6n + 4 for preactivation blocks.
        width: Channels of the first stage.
        block: Kind of residual block.
        dropout: Probability of dropout within a block.
    """

    def __init__(
        self,
        depth: int = 20,
        width: int = 16,
        block: Literal["basic", "preactivation"] = "basic",
        dropout: float = 0.0,
        **training: Any,
    ) -> None:
        super().__init__(ResNet(depth, width, block, dropout), **training)
