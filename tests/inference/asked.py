"""A finished run of a small network that was made with the drawn data set."""

from pathlib import Path

import numpy as np

from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.inference.predictor import Predictor
from fmnist.models.mlp import LitMLP
from tests.inference.networks import make_run

SPLIT = {"split_seed": 0, "fold": 0, "train": 400, "val": 100}


def make_asked(logs: Path, root: Path) -> Run:
    """Make the run, with its own logits as predictions of validation images."""
    data = source.load(root)
    run = make_run(logs, LitMLP, widths=[16])
    run.update(split=SPLIT, data_sha256=data.sha256)
    logits = Predictor(run).logits(data.train_images.numpy()[:100])
    run.save_predictions("val", Predictions(logits, data.train_labels.numpy()[:100], np.arange(100)))
    return run
