"""A small network's run, for what is built on networks."""

import shutil
from pathlib import Path
from typing import get_args

from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.data.arrays import Part, images_of
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.inference.predictor import load_logits
from fmnist.models.mlp import LitMLP
from tests.inference.networks import make_run


def write_network(root: Path, logs: Path, name: str = "net") -> Run:
    """Leave a finished run of an untrained network of 16 units, 100 images being validation."""
    data = FashionMNISTDataModule(str(root), val_size=100)
    data.setup()
    run = make_run(logs, LitMLP, name, widths=[16])
    run.update(parameters=7, split=data.split, data_sha256=data.data.sha256)
    shutil.copy(run.path / "checkpoints" / "best.ckpt", run.path / "checkpoints" / "last.ckpt")
    logits = load_logits(run.path)
    for part in get_args(Part)[1:]:
        images, labels, indices = images_of(data, part)
        run.save_predictions(part, Predictions(logits(images), labels, indices))
    return run
