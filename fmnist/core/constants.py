"""The classes of Fashion-MNIST, the size of its images, and when an answer is sure."""

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

IMAGE_SIZE = 28
"""Height and width of an image, in pixels."""

LEAST_PROBABILITY = 0.6
"""Of an answer that is sure, where ``--threshold`` says nothing else."""
