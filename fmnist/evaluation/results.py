"""A finished run with what reports and comparisons need of it, and the table of how runs were made."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fmnist.core.errors import quoted
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run, network_file
from fmnist.core.settings import settings_of
from fmnist.core.tables import Column, Row, Table, counted

Curves = dict[str, tuple[np.ndarray, np.ndarray]]
"""Epochs (n,) and values (n,) of each logged metric, such as ``val/accuracy``."""

CONVOLUTIONAL, DENSE, CLASSICAL, OTHER = "convolutional", "fully connected", "classical", "other"
FAMILIES = {
    "LitCNN": CONVOLUTIONAL,
    "LitLeNet5": CONVOLUTIONAL,
    "LitResNet": CONVOLUTIONAL,
    "LitMLP": DENSE,
    "MLPClassifier": DENSE,
}
OF_REPETITIONS = {"seed_everything", "engine"}
"""Settings in which repetitions of one training may differ, beside those that change nothing learned."""


@dataclass(frozen=True, eq=False)
class RunResult:
    """A finished run with its predictions of the test set."""

    run: Run
    test: Predictions

    @cached_property
    def predicted(self) -> np.ndarray:
        """The predicted classes, int64 (N,)."""
        return self.test.predicted

    @cached_property
    def right(self) -> np.ndarray:
        """Whether each prediction is right, bool (N,)."""
        return self.predicted == self.test.labels

    @property
    def name(self) -> str:
        """The run's name, ``--name``."""
        return str(self.run.record.get("name") or self.run.path.parent.name)

    @property
    def seed(self) -> int | None:
        """The seed of the training; None where it is not recorded."""
        return self.run.record.get("seed")

    @property
    def family(self) -> str:
        """What kind of model it is, by the class in its configuration."""
        part = self.run.config.get("model") or self.run.config.get("estimator")
        path = part.get("class_path") if isinstance(part, dict) else None
        known = FAMILIES.get(str(path).rpartition(".")[2])
        return known or (CLASSICAL if self.run.kind == "scikit-learn" else OTHER)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings that repetitions of one training share, by dotted name."""
        found = settings_of(self.run.config).items()
        return {name: value for name, value in found if name not in OF_REPETITIONS}

    @cached_property
    def recipe(self) -> str:
        """The settings as JSON."""
        return json.dumps(self.settings, sort_keys=True, default=str)

    @cached_property
    def data_hash(self) -> str:
        """A digest of the digests of the data files."""
        digests = json.dumps(self.run.record.get("data_sha256"), sort_keys=True)
        return hashlib.sha256(digests.encode()).hexdigest()[:12]

    @cached_property
    def test_set(self) -> str:
        """A digest of which images, with which labels, the predictions are of."""
        images = self.test.indices.tobytes() + self.test.labels.tobytes()
        return hashlib.sha256(self.data_hash.encode() + images).hexdigest()

    @cached_property
    def curves(self) -> Curves:
        """The finite points of the learning curves; empty where there is no readable file."""
        try:
            history = self.run.history()
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        curves = {}
        for name, (epochs, values) in history.items():
            finite = np.isfinite(values)
            if finite.any():
                curves[name] = epochs[finite], values[finite]
        return curves

    @property
    def size_bytes(self) -> int | None:
        """Bytes of the stored model: as recorded, or those of the checkpoint."""
        path = network_file(self.run.path)
        return self.run.record.get("size_bytes") or (path.stat().st_size if path.is_file() else None)

    @property
    def ms_per_image(self) -> float | None:
        """The time that ``scripts/evaluate.py`` has measured, if it has."""
        try:
            return float(json.loads((self.run.path / "metrics.json").read_bytes())["speed"]["ms_per_image"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def runs_table(results: Iterable[tuple[str, RunResult]]) -> Table:
    """Return how runs were made, one row a run, from each one's label and the run."""
    columns = [
        Column("model", "model"),
        Column("run", "folder", lambda row: quoted(row["folder"])),
        Column("seed", "seed"),
        Column("accuracy", "accuracy", "{:.4f}"),
        Column("images", "split", note="training + validation"),
        Column(
            "commit", "commit", lambda row: row["commit"][:10] + "-dirty" * row["commit"].endswith("-dirty")
        ),
        Column("hardware", "hardware", long=True),
        Column("versions", "versions", long=True),
        Column("started", "started"),
        Column("command", "command", long=True),
        Column("data", "data_hash", note="SHA-256 over the four files' SHA-256"),
    ]
    return Table("runs", "How the runs were made", columns, [_run_row(*labelled) for labelled in results])


def _run_row(label: str, result: RunResult) -> Row:
    record = result.run.record
    hardware, split = record.get("hardware") or {}, result.run.split
    names = (str(hardware[key]) for key in ("processor", "device") if hardware.get(key))
    cores = hardware.get("cores")
    versions: Mapping[str, Any] = record.get("versions") or {}
    return {
        "model": label,
        "folder": str(result.run.path),
        "seed": result.seed,
        "accuracy": float(result.right.mean()),
        "split": f"{split.get('train', '?')} + {split.get('val', '?')}"
        + (f", fold {split['fold']}" if split.get("fold") else ""),
        "commit": str(record["git_commit"]) if record.get("git_commit") else None,
        "hardware": ", ".join([*names, "? cores" if cores is None else counted(cores, "core")]),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "started": record.get("started"),
        "command": record.get("command"),
        "data_hash": result.data_hash,
    }
