"""A fit that would not fit into memory, refused before it begins."""

from typing import Any

import psutil
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.semi_supervised import LabelPropagation, LabelSpreading
from sklearn.svm import SVC, NuSVC

from fmnist.core.errors import InputError

GB = 1e9


def check_memory(steps: list[Any], images: int) -> None:
    """Refuse an estimator whose kernel matrix is larger than the memory that is free.

    Args:
        steps: Transformers and the classifier.
        images: Number of training images.

    Raises:
        InputError: It is.
    """
    available = psutil.virtual_memory().available
    for step in steps:
        needed = kernel_bytes(step, images)
        if needed > available:
            raise InputError(
                f"--estimator {type(step).__name__}: its kernel of {images:,} images needs "
                f"{needed / GB:.1f} GB, and {available / GB:.1f} GB are free; take fewer by "
                "--data.train_size, or sklearn.kernel_approximation.Nystroem among --features"
            )


def kernel_bytes(step: Any, images: int) -> int:
    """Return the bytes of the kernel values that a fit holds at once, 0 where it holds none."""
    if isinstance(step, GaussianProcessClassifier):
        return 3 * images**2 * 8  # the kernel, its weighted copy and the Cholesky factor
    if isinstance(step, LabelPropagation | LabelSpreading):
        return 2 * images**2 * 8 if step.kernel == "rbf" else 0
    if isinstance(step, SVC | NuSVC):
        return int(min(step.cache_size * 2**20, images**2 * 4))
    if isinstance(step, Nystroem):
        return images * step.n_components * 4
    return 0
