"""Turn any picture into what a network of Fashion-MNIST takes: 28 x 28 grey levels, the garment on black."""

from fmnist.pictures.labelled import LabelledFolder, read_labelled_folder
from fmnist.pictures.parallel import PreparedFile, make_thumbnail, prepare_file, prepare_files, worker_pool
from fmnist.pictures.preparation import Prepared, prepare, save_stages
from fmnist.pictures.reading import find_other_files, find_pictures, printable, read_picture

__all__ = [
    "LabelledFolder",
    "Prepared",
    "PreparedFile",
    "find_other_files",
    "find_pictures",
    "make_thumbnail",
    "prepare",
    "prepare_file",
    "prepare_files",
    "printable",
    "read_labelled_folder",
    "read_picture",
    "save_stages",
    "worker_pool",
]
