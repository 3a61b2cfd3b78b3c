"""Residual networks for small images: ResNet-20 and its family, and the Wide ResNets."""

from typing import Any, Literal

from torch import Tensor, nn

from fmnist.core.errors import InputError
from fmnist.models.classifier import Classifier
from fmnist.models.layers import Normalize, check_widths, initialize_kaiming


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2015, arXiv 1512.03385, fig. 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _conv3x3(inputs, outputs, stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Dropout(dropout) if dropout else nn.Identity(),
            _conv3x3(outputs, outputs),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.shortcut(x) + self.residual(x))


class PreactivationBlock(nn.Module):
    """Normalises before each convolution (Zagoruyko and Komodakis 2016, arXiv 1605.07146, fig. 1)."""

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.activate = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.residual = nn.Sequential(
            _conv3x3(inputs, outputs, stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Dropout(dropout) if dropout else nn.Identity(),
            _conv3x3(outputs, outputs),
        )
        self.shortcut: nn.Module | None = None
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.activate(x)
        return (x if self.shortcut is None else self.shortcut(activated)) + self.residual(activated)


class ResNet(nn.Module):
    """Three stages of residual blocks at 28, 14 and 7 pixels.

    ``ResNet(20)`` is the ResNet-20 of He et al. 2015 (arXiv 1512.03385, section 4.2) with projection
    shortcuts; ``ResNet(16, 64, block="preactivation")`` is WRN-16-4 and ``ResNet(28, 160, ...)`` is
    WRN-28-10 (a Wide ResNet of widening factor k has ``width = 16 * k``).

    Args:
        depth: 6n + 2 for basic blocks (convolutions and the head), 6n + 4 for preactivation blocks
            (convolutions, the shortcuts' among them).
        width: Channels of the first stage; the second has twice, the third four times as many.
        block: ``"basic"`` or ``"preactivation"``.
        dropout: Probability of dropout between the two convolutions of a block.
        num_classes: Number of logits.

    Raises:
        InputError: The depth does not fit the block.
    """

    cam_layer = "body"  # (N, 4 * width, 7, 7)

    def __init__(
        self,
        depth: int = 20,
        width: int = 16,
        block: Literal["basic", "preactivation"] = "basic",
        dropout: float = 0.0,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        check_widths("width", [width])
        extra = 2 if block == "basic" else 4
        blocks, rest = divmod(depth - extra, 6)
        if blocks < 1 or rest:
            raise InputError(
                f"--model.depth {depth}: {block} blocks need 6n + {extra}, like {12 + extra} or {18 + extra}"
            )
        preactivation = block == "preactivation"
        make = PreactivationBlock if preactivation else BasicBlock
        # the Wide ResNet's stem has 16 channels whatever its width
        channels = 16 if preactivation else width
        layers: list[nn.Module] = [Normalize(), _conv3x3(1, channels)]
        if not preactivation:
            layers += [nn.BatchNorm2d(channels), nn.ReLU()]
        for stage, outputs in enumerate((width, 2 * width, 4 * width)):
            for index in range(blocks):
                layers.append(make(channels, outputs, 2 if stage and not index else 1, dropout))
                channels = outputs
        if preactivation:
            layers += [nn.BatchNorm2d(channels), nn.ReLU()]
        self.body = nn.Sequential(*layers)  # (N, 4 * width, 7, 7)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(channels, num_classes)
        initialize_kaiming(self)

    def features(self, images: Tensor) -> Tensor:
        """Return the pooled features, (N, 4 * width), of images (N, 1, 28, 28)."""
        return self.pool(self.body(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


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
