"""Models of other runs that a baseline is made of: found, and kept in its own run folder."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.baselines.estimators import load_from
from fmnist.core.errors import InputError
from fmnist.core.runs import Run

BEST = Path("checkpoints", "best.ckpt")


def find_member(path: str, flag: str) -> Run:
    """Open a run that a baseline is to be made of.

    Args:
        path: A run folder, or ``logs/<name>`` for its newest finished run.
        flag: What names it, for messages.

    Raises:
        InputError: There is none, or it isn't finished.
    """
    try:
        run = Run.find(path)
    except InputError as error:
        raise InputError(f"{flag} {error}") from None
    status = run.record.get("status")
    if status != "finished":
        raise InputError(f"{flag} {path}: is {status}, and only a finished run will do")
    return run


def check_member(run: Run, flag: str, data_sha256: dict[str, str], split: dict[str, Any]) -> None:
    """Refuse a run that was trained on what is validation here, or on other files.

    Args:
        run: The run.
        flag: What names it, for messages.
        data_sha256: The files' digests here.
        split: The split here: ``split_seed``, ``train``, ``val``.

    Raises:
        InputError: It was.
    """
    theirs = run.record["split"]
    if run.record["data_sha256"] != data_sha256:
        raise InputError(f"{flag} {run.path}: was trained on other files than those of --data.root")
    # the larger of two validation sets of one seed holds the smaller
    apart = theirs["split_seed"] == split["split_seed"] and theirs["val"] >= split["val"]
    if split["val"] and not apart:
        raise InputError(
            f"{flag} {run.path}: was trained on images that are validation here; make both with the same "
            f"--data.split_seed (there {theirs['split_seed']}) and --data.val_size (there {theirs['val']})"
        )


def keep_model(run: Run, folder: Path) -> None:
    """Put a run's configuration and model into a folder, the model by hard links where it can be.

    So a run that is made of others answers for itself, whatever becomes of them.
    """
    ignored = shutil.ignore_patterns("last.ckpt*", "previous.ckpt*")
    shutil.copytree(run.path / "checkpoints", folder / "checkpoints", ignore=ignored, copy_function=_link)
    shutil.copyfile(run.path / "config.yaml", folder / "config.yaml")


def load_model(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return the kept model as a function of images uint8 (N, 28, 28) to scores float32 (N, 10)."""
    if not (folder / BEST).exists():
        return load_from(folder).scores
    from fmnist.models.loading import in_batches, load_classifier

    return partial(in_batches, load_classifier(folder).evaluation_logits)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
