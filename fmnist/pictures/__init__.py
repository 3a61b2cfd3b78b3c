"""Any picture to what a network of Fashion-MNIST expects: 28 x 28 grey levels, the garment on black."""

from fmnist.pictures.decoding import read_picture
from fmnist.pictures.finding import find_pictures
from fmnist.pictures.preparation import Prepared, prepare
from fmnist.pictures.stages import save_stages

__all__ = ["Prepared", "find_pictures", "prepare", "read_picture", "save_stages"]
