"""What a classical learner sees of an image: pixels, HOG or a network's embedding, and what follows them."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from fmnist.baselines.building import build
from fmnist.baselines.hog import check_sizes, hog
from fmnist.core.errors import InputError
from fmnist.data.arrays import as_pixels

Extractor = Callable[[np.ndarray], np.ndarray]
"""Of images uint8 (N, 28, 28), returns float32 (N, D); nothing about it is fitted."""
EXTRACTORS = ("pixels", "hog", "embedding")
TRANSFORMERS = {
    "standardize": ("sklearn.preprocessing.StandardScaler", None),
    "pca": ("sklearn.decomposition.PCA", "n_components"),
}
"""Short names of what is fitted, and which argument a bare value is."""


def first_step(features: Any) -> tuple[str, Any]:
    """Return the extractor's name and its arguments: the first of the steps, else ``pixels``.

    Raises:
        InputError: The steps are no list of names, or the extractor lacks an argument or has a wrong one.
    """
    if not isinstance(features, list):
        raise InputError(f"--features {features!r:.40}: must be a list of steps, like [hog, {{pca: 200}}]")
    name, value = _name_and_value(features[0]) if features else ("pixels", None)
    if name not in EXTRACTORS:
        return "pixels", None
    if name == "embedding" and not (value and isinstance(value, str)):
        raise InputError("--features embedding: needs the RUN of a network, like {embedding: logs/cnn}")
    if name == "pixels" and value is not None:
        raise InputError(f"--features pixels {value!r:.40}: takes no arguments")
    if name == "hog":
        known = list(inspect.signature(hog).parameters)[1:]
        if value is not None and not (isinstance(value, dict) and value.keys() <= set(known)):
            raise InputError(f"--features hog {value!r:.60}: takes arguments by name: {', '.join(known)}")
        check_sizes(**(value or {}))
    return name, value


def extractor(features: Any, network: Path) -> Extractor:
    """Return the function of images that the steps begin with.

    Args:
        features: The steps.
        network: Folder of the network for ``embedding``, with its ``config.yaml`` and checkpoint.

    Raises:
        InputError: The network cannot be loaded.
    """
    name, value = first_step(features)
    if name == "hog":
        return partial(hog, **(value or {}))
    if name == "embedding":
        from fmnist.models.loading import in_batches, load_classifier

        embed: Any = load_classifier(network).network.features
        return partial(in_batches, embed)
    return as_pixels


def transformers(features: Any, seed: int) -> list[BaseEstimator]:
    """Build what the steps after the extractor name, unfitted.

    Args:
        features: The steps: short names, ``{name: value}``, or ``class_path`` and ``init_args``.
        seed: Of those that draw at random.

    Raises:
        InputError: A step is unknown, misplaced or no transformer, or does not take its arguments.
    """
    first_step(features)
    steps = [
        step for place, step in enumerate(features) if place or _name_and_value(step)[0] not in EXTRACTORS
    ]
    return [_transformer(step, seed) for step in steps]


def _transformer(step: Any, seed: int) -> BaseEstimator:
    name, value = _name_and_value(step)
    if name in EXTRACTORS:
        raise InputError(f"--features {name}: must be the first of the steps")
    if name in TRANSFORMERS:
        path, bare = TRANSFORMERS[name]
        if value is not None and not isinstance(value, dict):
            if bare is None:
                raise InputError(f"--features {name} {value!r:.40}: takes arguments by name only")
            value = {bare: value}
        step = {"class_path": path, "init_args": value or {}}
    elif name != "class_path":
        known = ", ".join((*EXTRACTORS, *TRANSFORMERS))
        raise InputError(f"--features {name}: no such step; there are {known}, and class_path for any other")
    made = build(step, seed, f"--features {name}" if name != "class_path" else "--features")
    if not hasattr(made, "transform"):
        raise InputError(f"--features {step['class_path']}: is no transformer of scikit-learn")
    return made


def _name_and_value(step: Any) -> tuple[str, Any]:
    """Return ``("pca", 80)`` for ``{"pca": 80}``, and ``("hog", None)`` for ``"hog"``."""
    if isinstance(step, str):
        return step, None
    if isinstance(step, dict) and "class_path" in step:
        return "class_path", step
    if isinstance(step, dict) and len(step) == 1:
        name, value = next(iter(step.items()))
        return str(name), value
    raise InputError(f"--features {step!r:.60}: a step is a name, or {{name: value}}")
