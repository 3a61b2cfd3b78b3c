"""Fashion-MNIST research on PyTorch Lightning: networks, baselines, evaluation, explanation."""

from fmnist.core.constants import CLASSES

__all__ = ["CLASSES"]
__version__ = "0.1.0"
