"""A small convolutional network, designed for high accuracy after little training time on a CPU."""

from typing import Any

from torch import Tensor, nn

from fmnist.core.errors import InputError
from fmnist.models.classifier import Classifier
from fmnist.models.layers import Normalize, check_widths


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    """Return a stage that halves the resolution (rounding down) right after its first convolution."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(outputs),
        nn.GELU(),
        nn.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.GELU(),
    )


class CNN(nn.Module):
    """A 2 x 2 stem and three pooled stages of two convolutions; 294,914 parameters.

    The order within a stage follows Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU"
    (arXiv 2404.00498); there is no whitening of the first layer.

    Args:
        stem_width: Channels of the stem, at 27 x 27 pixels.
        widths: Channels of the stages, at 13, 6 and 3 pixels.
        num_classes: Number of logits.
    """

    cam_layer = "stages"  # (N, widths[-1], 3, 3)

    def __init__(
        self, stem_width: int = 24, widths: tuple[int, ...] = (32, 64, 128), num_classes: int = 10
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
        self.stages = nn.Sequential(*(_stage(i, o) for i, o in zip(inputs, widths, strict=True)))
        self.pool = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
        self.head = nn.Linear(widths[-1], num_classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the pooled features, (N, widths[-1]), of images (N, 1, 28, 28)."""
        return self.pool(self.stages(self.stem(images)))

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class LitCNN(Classifier):
    """Trains a ``CNN``.

    Args:
        stem_width: Channels of the stem.
        widths: Channels of the stages.
    """

    def __init__(
        self, stem_width: int = 24, widths: tuple[int, ...] = (32, 64, 128), **training: Any
    ) -> None:
        super().__init__(CNN(stem_width, widths), **training)
