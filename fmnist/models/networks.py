"""The networks: plain ``nn.Module`` that run without Lightning, so that a prediction need not import it."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from fmnist.core.constants import CLASSES, IMAGE_SIZE
from fmnist.core.errors import InputError
from fmnist.models.layers import Normalize, check_widths, initialize_kaiming


class MLP(nn.Module):
    """Dense layers with ReLU, batch normalisation and dropout as options.

    Args:
        widths: Units of each hidden layer.
        dropout: Probability that a hidden unit is dropped.
        batch_norm: Normalise before each ReLU (Ioffe and Szegedy 2015, arXiv 1502.03167).
    """

    def __init__(
        self,
        widths: Sequence[int] = (512, 256),
        dropout: float = 0.0,
        batch_norm: bool = False,
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
        self.head = nn.Linear(inputs, len(CLASSES))

    def features(self, images: Tensor) -> Tensor:
        """Return the last hidden layer, (N, widths[-1]), of images (N, 1, 28, 28)."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class LeNet5(nn.Module):
    """LeNet-5 as it is taught today: ReLU, average pooling, no sparse connection table; 61,706 parameters.

    After LeCun et al. 1998, "Gradient-based learning applied to document recognition", section II.B.
    """

    cam_layer = "body.5"  # (N, 16, 10, 10), after the ReLU of the second convolution

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Normalize(),
            nn.Conv2d(1, 6, kernel_size=5, padding=2),  # (N, 6, 28, 28)
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(6, 16, kernel_size=5),  # (N, 16, 10, 10)
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),  # (N, 400)
            nn.Linear(400, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
        )
        self.head = nn.Linear(84, len(CLASSES))
        initialize_kaiming(self)

    def features(self, images: Tensor) -> Tensor:
        """Return the last hidden layer, (N, 84), of images (N, 1, 28, 28)."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)


def _two_convolutions(inputs: int, outputs: int, stride: int, dropout: float) -> list[nn.Module]:
    return [
        _conv3x3(inputs, outputs, stride),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Dropout(dropout) if dropout else nn.Identity(),
        _conv3x3(outputs, outputs),
    ]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2015, arXiv 1512.03385, fig. 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        convolutions = _two_convolutions(inputs, outputs, stride, dropout)
        self.residual = nn.Sequential(*convolutions, nn.BatchNorm2d(outputs))
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.shortcut(x) + self.residual(x))


def _stage(inputs: int, outputs: int, residual: bool) -> nn.Sequential:
    """Return a stage that halves the resolution (rounding down) right after its first convolution."""
    layers = [_conv3x3(inputs, outputs), nn.MaxPool2d(2), nn.BatchNorm2d(outputs), nn.GELU()]
    if residual:
        return nn.Sequential(*layers, BasicBlock(outputs, outputs, stride=1, dropout=0.0))
    return nn.Sequential(*layers, _conv3x3(outputs, outputs), nn.BatchNorm2d(outputs), nn.GELU())


class CNN(nn.Module):
    """A small network, designed for high accuracy after little training time on a CPU.

    It has 294,914 parameters, or 488,898 with residual blocks: a 2 x 2 stem, and three pooled stages of two
    convolutions, or three with residual blocks. The order within a stage follows
    Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (arXiv 2404.00498); there is no whitening
    of the first layer.

    Args:
        stem_width: Channels of the stem, at 27 x 27 pixels.
        widths: Channels of the stages, at 13, 6 and 3 pixels.
        residual: End each stage with a residual block of two convolutions instead of one convolution.
    """

    cam_layer = "stages"  # (N, widths[-1], 3, 3)

    def __init__(
        self,
        stem_width: int = 24,
        widths: tuple[int, ...] = (32, 64, 128),
        residual: bool = False,
    ) -> None:
        super().__init__()
        check_widths("stem_width", [stem_width])
        check_widths("widths", widths)
        if not 1 <= len(widths) <= 4:
            raise InputError(
                f"--model.widths of {len(widths)} stages: must be 1 to 4, as each halves 27 pixels"
            )
        inputs = (stem_width, *widths[:-1])
        self.stem = nn.Sequential(Normalize(), nn.Conv2d(1, stem_width, kernel_size=2), nn.GELU())
        self.stages = nn.Sequential(*(_stage(i, o, residual) for i, o in zip(inputs, widths, strict=True)))
        self.pool = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
        self.head = nn.Linear(widths[-1], len(CLASSES))

    def features(self, images: Tensor) -> Tensor:
        """Return the pooled features, (N, widths[-1]), of images (N, 1, 28, 28)."""
        return self.pool(self.stages(self.stem(images)))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class PreactivationBlock(nn.Module):
    """Normalises before each convolution (Zagoruyko and Komodakis 2016, arXiv 1605.07146, fig. 1)."""

    def __init__(self, inputs: int, outputs: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.activate = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.residual = nn.Sequential(*_two_convolutions(inputs, outputs, stride, dropout))
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
        self.head = nn.Linear(channels, len(CLASSES))
        initialize_kaiming(self)

    def features(self, images: Tensor) -> Tensor:
        """Return the pooled features, (N, 4 * width), of images (N, 1, 28, 28)."""
        return self.pool(self.body(images))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))
