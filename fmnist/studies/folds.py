"""K-fold cross-validation: the runs of all folds, and their predictions of the images that each left out."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fmnist.core.errors import InputError, quoted
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.core.settings import shortening_flags
from fmnist.data.source import training_size
from fmnist.studies.jobs import Job, needs_runs

FILE = "out_of_fold.npz"
"""File of a study's folder with the predictions of all training images."""


def with_fold_size(job: Job, folds: int, config: dict[str, Any]) -> Job:
    """Return a job with this many folds of the training images; ``config`` is what it resolves to as it is.

    Raises:
        InputError: The images cannot be divided into this many folds of one size, the runs would begin with
            what was learned from images that they validate on, or they would not predict all of those.
    """
    if needs_runs(config):
        raise InputError(
            f"--folds {folds}: does not go with --blend, --features embedding, --init or --teachers, whose "
            "runs were trained on images of other folds"
        )
    if shortened := shortening_flags(config):
        raise InputError(f"--folds {folds}: does not go with {shortened}, which leaves out images")
    size = training_size(config["data"]["root"])
    if folds < 2 or size % folds:
        divisors = (number for number in range(2, size + 1) if size % number == 0)
        nearest = min(divisors, key=lambda number: abs(number - folds))
        raise InputError(
            f"--folds {folds}: must be 2 or more, and divide the {size:,} training images evenly, as "
            f"{nearest} does"
        )
    return job._replace(command=[*job.command, "--data.val_size", str(size // folds)])


def out_of_fold(runs: Sequence[Run]) -> Predictions:
    """Return the validation predictions of the runs of all folds, in the order of the source file.

    Each training image is predicted by the run that was not trained on it.

    Raises:
        InputError: Validation predictions are missing or damaged, or are not of each image once.
    """
    parts = [run.predictions("val") for run in runs]
    logits, labels, indices = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("logits", "labels", "indices")
    )
    order = np.argsort(indices)
    if not np.array_equal(indices[order], np.arange(sum(run.split.get("val", 0) for run in runs))):
        raise InputError(
            f"{quoted(runs[0].path)}: its fold and those of the other runs are not each image once; remove "
            "these runs, and repeat the command"
        )
    return Predictions(logits[order], labels[order], indices[order])
