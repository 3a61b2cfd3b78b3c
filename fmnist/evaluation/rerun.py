"""What evaluation needs the model itself for: predictions that are missing, and its speed."""

import time
from typing import Any

import numpy as np

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.errors import InputError, quoted, reports_unwritable
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.data.arrays import Part, images_of
from fmnist.data.of_run import data_of
from fmnist.inference.predictor import Predictor

TIMED_IMAGES = 1_000


def predictions(run: Run, root: str) -> tuple[Predictions, Predictions | None, list[str]]:
    """Read a run's predictions; where they are missing or damaged, make them again with its model.

    Returns:
        Predictions of the test set; of the validation set, None for a run without one; and a line for
        each part that was computed again.

    Raises:
        InputError: They are missing or damaged, and the model or its data cannot be loaded.
    """
    parts: list[Part] = ["test", "val"] if run.split.get("val") else ["test"]
    read: dict[Part, Predictions] = {}
    lines = []
    for part in parts:
        try:
            read[part] = run.predictions(part)
        except InputError as fault:
            read[part] = _predict_again(run, root, part, fault)
            lines.append(f"{fault}; computed again")
    return read["test"], read.get("val"), lines


def _predict_again(run: Run, root: str, part: Part, fault: InputError) -> Predictions:
    """Make the predictions of a part again, save them, and read them as they are checked."""
    try:
        images, labels, indices = images_of(data_of(run, root, download=True), part)
        predictions = Predictions(Predictor(run).logits(images), labels, indices)
        with reports_unwritable(quoted(run.path)):
            run.save_predictions(part, predictions)
        return run.predictions(part)
    except InputError as error:
        raise InputError(f"{fault}\nand cannot be made again: {error}") from None


def measure_speed(run: Run, images: np.ndarray | None) -> dict[str, Any]:
    """Time the run's model on the CPU, after a first call that does not count.

    Args:
        run: A finished run.
        images: uint8 (N, 28, 28), of which the first thousand are used; None takes noise.

    Returns:
        ``ms_per_image``, and how it was measured.
    """
    import torch

    if images is None:
        shape = (TIMED_IMAGES, IMAGE_SIZE, IMAGE_SIZE)
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    images = images[:TIMED_IMAGES]
    predictor = Predictor(run)
    predictor.logits(images[:100])
    start = time.perf_counter()
    predictor.logits(images)
    seconds = time.perf_counter() - start
    return {
        "ms_per_image": round(1000 * seconds / len(images), 5),
        "images": len(images),
        "device": "cpu",
        "threads": torch.get_num_threads(),
    }
