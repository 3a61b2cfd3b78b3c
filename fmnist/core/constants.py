"""The classes of Fashion-MNIST and the size of its images."""

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
