"""Fashion-MNIST research on PyTorch Lightning: networks, baselines, evaluation, explanation."""

__version__ = "0.1.0"

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
"""The ten class names in the published order: label ``i`` is ``CLASSES[i]``."""
