"""Which images a split validates on, by its numbers in ``run.json``."""

from collections.abc import Mapping
from typing import Any


def validation_images(split: Mapping[str, Any]) -> tuple[Any, range]:
    """Return the seed of the order of the training images, and the places in it that are for validation.

    Args:
        split: ``split_seed``, ``fold`` and ``val``. The folds of one seed are stretches of ``val`` images of
            one order, see ``stratified_split``.
    """
    size, fold = split.get("val", 0), split.get("fold", 0)
    return split.get("split_seed"), range(fold * size, (fold + 1) * size)


def keeps_apart(trained: Mapping[str, Any], validated: Mapping[str, Any]) -> bool:
    """Return whether training on one split leaves out all validation images of another one."""
    (seed, left_out), (wanted_seed, wanted) = validation_images(trained), validation_images(validated)
    is_within = left_out.start <= wanted.start and wanted.stop <= left_out.stop
    return not wanted or (seed == wanted_seed and is_within)
