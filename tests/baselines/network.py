"""A small network's run, for what is built on networks."""

from pathlib import Path

import torch
import yaml

from fmnist.core.runs import Predictions, Run
from fmnist.data.arrays import PARTS, images_of
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models.loading import in_batches
from fmnist.models.mlp import LitMLP


def write_network(root: Path, logs: Path, name: str = "net") -> Run:
    """Leave a finished run of an untrained network of 16 units, 100 images being validation."""
    torch.manual_seed(0)
    model = LitMLP(widths=[16])
    data = FashionMNISTDataModule(str(root), val_size=100)
    data.setup()
    made = {"kind": "lightning", "parameters": 7, "split": data.split, "data_sha256": data.data.sha256}
    run = Run.create(logs, name, **made)
    (run.path / "checkpoints").mkdir()
    for checkpoint in ("best", "last"):
        torch.save({"state_dict": model.state_dict()}, run.path / "checkpoints" / f"{checkpoint}.ckpt")
    spec = {"class_path": "fmnist.models.mlp.LitMLP", "init_args": {"widths": [16]}}
    (run.path / "config.yaml").write_text(yaml.safe_dump({"model": spec}))
    for part in PARTS[1:]:
        images, labels, indices = images_of(data, part)
        logits = in_batches(model.eval().evaluation_logits, images)
        run.save_predictions(part, Predictions(logits, labels, indices))
    run.finish("finished")
    return run
