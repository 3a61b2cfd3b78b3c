"""Finished runs of small, untrained networks, for the tests of what takes a network elsewhere."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from fmnist.core.constants import CLASSES
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.models.classifier import Classifier


def make_model(kind: type[Classifier], **arguments: Any) -> Classifier:
    """Build a network whose normalisation layers are as if it had seen images."""
    torch.manual_seed(0)
    model = kind(**arguments)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return model.eval()


def save_network(folder: Path, kind: type[Classifier], **arguments: Any) -> Classifier:
    """Write such a network and its configuration into a new folder, or a new run's."""
    model = make_model(kind, **arguments)
    (folder / "checkpoints").mkdir(parents=True)
    config = {"model": {"class_path": f"{kind.__module__}.{kind.__name__}", "init_args": arguments}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    torch.save({"state_dict": model.state_dict()}, folder / "checkpoints" / "best.ckpt")
    return model


def make_run(logs: Path, kind: type[Classifier], name: str = "small", **arguments: Any) -> Run:
    """Make a finished run of such a network, with predictions that are right in 60 of 100 cases."""
    run = Run.create(logs, name, kind="lightning", classes=list(CLASSES), git_commit="0123abcd")
    save_network(run.path, kind, **arguments)
    labels = np.arange(100) % 10
    answers = np.where(np.arange(100) < 60, labels, (labels + 1) % 10)
    predictions = Predictions(3 * np.eye(10, dtype=np.float32)[answers], labels, np.arange(100))
    run.save_predictions("val", predictions)
    run.save_predictions("test", predictions)
    run.finish("finished")
    return run
