"""The steps of a preparation as files, to look at."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from fmnist.core.errors import InputError


def save_stages(folder: Path, name: str, stages: dict[str, np.ndarray]) -> None:
    """Write the steps that ``prepare`` left in ``stages`` to ``folder/name/``, numbered in their order.

    Args:
        folder: Made where it is missing.
        name: Of the folder of this picture.
        stages: From a step's name to its picture, uint8 (H, W), (H, W, 3) or (H, W, 4).

    Raises:
        InputError: The folder cannot be written.
    """
    target = folder / name
    try:
        target.mkdir(parents=True, exist_ok=True)
        for number, (step, picture) in enumerate(stages.items(), start=1):
            path = target / f"{number}-{step.replace(' ', '-')}.png"
            temporary = path.with_suffix(".tmp")
            Image.fromarray(picture).save(temporary, format="PNG")
            os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror or error})") from None
