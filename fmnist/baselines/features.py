"""The feature steps of a baseline: how they are written in YAML, and those that turn images into vectors."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.core.errors import InputError
from fmnist.core.images import as_pixels

ImageFunction = Callable[[np.ndarray], np.ndarray]
"""Of images uint8 (N, 28, 28); returns float32 (N, D)."""


@dataclass(frozen=True)
class Extractor:
    """A first step, which turns images into vectors; nothing about it is fitted.

    Attributes:
        usage: How it is written, for the help text.
        check: Raises an ``InputError`` for arguments (None where there are none) that it does not take.
        load: From the arguments, and the folder of the network if it needs one, to its function.
    """

    usage: str
    check: Callable[[Any], None]
    load: Callable[[Any, Path], ImageFunction]


# The functions import what they need themselves: the help text must not wait for torch.


def _roots(images: np.ndarray) -> np.ndarray:
    """Return the square roots of the pixels: weak edges count more beside strong ones."""
    return np.sqrt(as_pixels(images))


def _check_pixels(arguments: Any) -> None:
    if arguments not in (None, "roots"):
        raise InputError(f"--features pixels {arguments!r:.40}: takes no arguments but roots")


def _check_hog(arguments: Any) -> None:
    from fmnist.baselines.hog import check_sizes

    known = list(inspect.signature(check_sizes).parameters)
    if arguments is not None and not (isinstance(arguments, dict) and arguments.keys() <= set(known)):
        raise InputError(f"--features hog {arguments!r:.60}: takes arguments by name: {', '.join(known)}")
    check_sizes(**(arguments or {}))


def _load_hog(arguments: Any, network: Path) -> ImageFunction:
    from fmnist.baselines.hog import hog

    return partial(hog, **(arguments or {}))


def _check_embedding(arguments: Any) -> None:
    if not (arguments and isinstance(arguments, str)):
        raise InputError("--features embedding: needs the RUN of a network, like {embedding: logs/cnn}")


def _load_embedding(arguments: Any, network: Path) -> ImageFunction:
    from fmnist.models.layers import embedding
    from fmnist.models.loading import in_batches, load_classifier

    embed = embedding(load_classifier(network).network)
    if embed is None:
        raise InputError(
            f"--features embedding {arguments}: its network has no method features that returns vectors"
        )
    return partial(in_batches, embed)


EXTRACTORS = {
    "pixels": Extractor(
        "pixels, {pixels: roots}", _check_pixels, lambda arguments, _: _roots if arguments else as_pixels
    ),
    "hog": Extractor("hog", _check_hog, _load_hog),
    "embedding": Extractor("{embedding: RUN}", _check_embedding, _load_embedding),
}
"""Every first step by name; pixels are the default."""

TRANSFORMERS = {
    "standardize": ("sklearn.preprocessing.StandardScaler", None),
    "pca": ("sklearn.decomposition.PCA", "n_components"),
}
"""Short names of later steps, which are fitted: the class, and the argument that a bare value sets."""


def split_step(step: Any) -> tuple[str, Any]:
    """Return ``("pca", 80)`` for ``{"pca": 80}``, and ``("hog", None)`` for ``"hog"``.

    Raises:
        InputError: It is neither a name nor a name with arguments.
    """
    if isinstance(step, str):
        return step, None
    if isinstance(step, dict) and "class_path" in step:
        return "class_path", step
    if isinstance(step, dict) and len(step) == 1:
        name, arguments = next(iter(step.items()))
        return str(name), arguments
    raise InputError(f"--features {step!r:.60}: a step is a name, or {{name: value}}")


def first_step(features: Any) -> tuple[str, Any]:
    """Return name and arguments, unchecked, of the extractor: the first of the steps, else ``pixels``.

    Raises:
        InputError: The steps are no list of names.
    """
    if not isinstance(features, list):
        raise InputError(f"--features {features!r:.40}: must be a list of steps, like [hog, {{pca: 200}}]")
    name, arguments = split_step(features[0]) if features else ("pixels", None)
    return (name, arguments) if name in EXTRACTORS else ("pixels", None)


def load_extractor(features: Any, network: Path) -> ImageFunction:
    """Return the function of images that checked steps begin with.

    ``network`` is the folder of the network for ``embedding``, with its ``config.yaml`` and checkpoint.

    Raises:
        InputError: The network cannot be loaded.
    """
    name, arguments = first_step(features)
    return EXTRACTORS[name].load(arguments, network)
