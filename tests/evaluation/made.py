"""Run folders made by hand, for the tests of everything that reads them."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fmnist.core.constants import CLASSES
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.robustness.corruptions import CORRUPTIONS, FAMILIES, FLIPS
from fmnist.robustness.rendered import KINDS, POLARITIES

CURVES = """epoch,step,train/loss,train/accuracy,val/loss,val/accuracy
0,9,2.0,0.30,1.9,0.40
1,19,1.0,0.65,1.2,0.62
2,29,0.8,0.75,1.1,0.60
"""


def predictions(
    seed: int, size: int = 300, skill: float = 2.0, labels: np.ndarray | None = None
) -> Predictions:
    """Return random logits that favour the label: the higher the skill, the more of them are right."""
    labels = np.arange(size) % len(CLASSES) if labels is None else labels
    places = np.arange(len(labels))
    logits = np.random.default_rng(seed).normal(size=(len(labels), len(CLASSES)))
    logits[places, labels] += skill
    return Predictions(logits.astype(np.float32), labels, places)


def make_run(
    logs: Path,
    name: str = "cnn",
    seed: int = 0,
    skill: float = 2.0,
    class_path: str = "fmnist.models.cnn.LitCNN",
    val: int = 60,
    test: Predictions | None = None,
    **record: Any,
) -> Run:
    """Make a finished run with predictions, configuration and learning curves."""
    test = test or predictions(seed + round(1000 * skill), skill=skill)
    fields = {
        "kind": "lightning",
        "command": "python scripts/train.py --config configs/cnn.yaml",
        "seed": seed,
        "git_commit": "0123456789abcdef-dirty",
        "versions": {"python": "3.11.7", "torch": "2.15.0"},
        "hardware": {"processor": "Some Processor", "cores": 2},
        "data_sha256": {"t10k-images-idx3-ubyte": "5b41"},
        "split": {"split_seed": 0, "fold": 0, "train": 600 - val, "val": val, "test": len(test.labels)},
        "parameters": 61706,
        "multiply_adds": 423400,
        "train_seconds": 125.0,
        "epochs": 3,
    }
    folder = "odd" if "<" in name else name
    run = Run.create(logs, folder, **{**fields, **record})
    run.save_predictions("test", test)
    if val:
        run.save_predictions("val", predictions(seed + 77, size=val, skill=skill))
    config = {"seed_everything": seed, "model": {"class_path": class_path}, "data": {"root": str(logs)}}
    (run.path / "config.yaml").write_text(yaml.safe_dump(config))
    (run.path / "metrics.csv").write_text(CURVES)
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "best.ckpt").write_bytes(bytes(250_000))
    run.finish("finished", name=name)
    return run


def on_data(root: Path, seed: int = 0, skill: float = 2.0) -> dict[str, Any]:
    """Return ``test`` and ``data_sha256`` of a run on the data set in a folder."""
    data = source.load(root)
    test = predictions(seed, skill=skill, labels=data.test_labels.numpy())
    return {"test": test, "data_sha256": data.sha256}


def shifted(level: float) -> dict[str, Any]:
    """Return what ``shifts.json`` holds of a model with so much accuracy on everything shifted."""
    share = {"accuracy": level, "standard_error": 0.01}
    levels = {name: [level + step for step in (0.2, 0.1, 0.0, -0.1, -0.2)] for name in CORRUPTIONS}
    photograph = {"accuracy": level * 0.9, "standard_error": 0.01, "of_clean": level}
    kinds = {
        kind: {**photograph, "polarity_right": 0.99} if kind in POLARITIES else photograph for kind in KINDS
    }
    clean = {"accuracy": 0.9, "standard_error": 0.01}
    return {
        "images": 100,
        "of": 200,
        "seed": 0,
        "clean": clean,
        "mean_corruption_accuracy": share,
        "mean_corruption_error": 1 - level,
        "families": dict.fromkeys(FAMILIES, share),
        "corruptions": levels | {"inverse": [level]},
        "mean_flip_accuracy": share,
        "flips": dict.fromkeys(FLIPS, level),
        "photographs": {"images": 100, "clean": clean, "kinds": kinds},
        "detection": [{"outsiders": "drawn digits", "score": "energy", "auroc": 0.96, "fpr95": 0.2}],
    }
