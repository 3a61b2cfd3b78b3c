"""LeNet-5 after LeCun et al. 1998, "Gradient-based learning applied to document recognition", sec. II.B."""

from typing import Any

from torch import Tensor, nn

from fmnist.models.classifier import Classifier
from fmnist.models.layers import Normalize, initialize_kaiming


class LeNet5(nn.Module):
    """LeNet-5 as it is taught today: ReLU, average pooling, no sparse connection table; 61,706 parameters.

    Args:
        num_classes: Number of logits.
    """

    cam_layer = "body.5"  # (N, 16, 10, 10), after the ReLU of the second convolution

    def __init__(self, num_classes: int = 10) -> None:
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
        self.head = nn.Linear(84, num_classes)
        initialize_kaiming(self)

    def features(self, images: Tensor) -> Tensor:
        """Return the last hidden layer, (N, 84), of images (N, 1, 28, 28)."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class LitLeNet5(Classifier):
    """Trains a ``LeNet5``."""

    def __init__(self, **training: Any) -> None:
        super().__init__(LeNet5(), **training)
