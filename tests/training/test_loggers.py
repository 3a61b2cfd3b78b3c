"""Loggers of other projects get every figure: the real packages, without a network."""

import csv
import importlib
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.core.saving import load_hparams_from_yaml

from fmnist.core.runs import Run

Logged = tuple[dict[str, Any], dict[str, list[float]]]
"""Hyperparameters, and the values of each metric in order."""


def read_csv(folder: Path) -> Logged:
    """Read what Lightning's ``CSVLogger`` wrote."""
    (version,) = (folder / "csv" / "lightning_logs").iterdir()
    metrics: dict[str, list[float]] = {}
    with (version / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value:
                    metrics.setdefault(name, []).append(float(value))
    return load_hparams_from_yaml(version / "hparams.yaml"), metrics


def read_mlflow(folder: Path) -> Logged:
    """Read the SQLite store of MLflow."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert run.info.status == "FINISHED"
    histories = {name: client.get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    return run.data.params, {name: [metric.value for metric in found] for name, found in histories.items()}


def wandb_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file of Weights & Biases: LevelDB's log format after a header of 7 bytes."""
    content, place, record = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        if (left := 32_768 - place % 32_768) < 7:  # a block's end is padded
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def read_wandb(folder: Path) -> Logged:
    """Read the file that Weights & Biases would upload."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("**/offline-run-*/run-*.wandb")
    hyperparameters: dict[str, Any] = {}
    metrics: dict[str, list[float]] = {}
    for content in wandb_records(path):
        record = Record.FromString(content)
        for item in (*record.run.config.update, *record.config.update):
            hyperparameters[item.key or item.nested_key[-1]] = json.loads(item.value_json)
        for item in record.history.item:
            value = json.loads(item.value_json)
            metrics.setdefault(item.key or "/".join(item.nested_key), []).append(value)
    return hyperparameters, metrics


LOGGERS: dict[str, tuple[str | None, dict[str, Any], Callable[[Path], Logged]]] = {
    "CSVLogger": (None, {"save_dir": "csv"}, read_csv),
    "MLFlowLogger": ("mlflow", {"tracking_uri": "sqlite:///mlflow.db"}, read_mlflow),
    "WandbLogger": ("wandb", {"project": "fashion", "offline": "true"}, read_wandb),
}
"""The package that is needed, the logger's flags, and the function that reads what it wrote."""


@pytest.mark.parametrize("name", LOGGERS)
def test_a_logger_gets_every_figure(
    train: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    package, flags, read = LOGGERS[name]
    if package:
        pytest.importorskip(package, reason="needs the extra loggers: pip install -e '.[loggers]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    words = [word for flag, value in flags.items() for word in (f"--trainer.logger.{flag}", value)]
    run = train("--trainer.logger", name, *words)
    if package == "wandb":
        importlib.import_module("wandb").finish()

    hyperparameters, metrics = read(tmp_path)
    assert float(hyperparameters["learning_rate"]) == 0.01
    assert int(hyperparameters["batch_size"]) == 100
    history = run.history()
    for curve in ("train/loss", "val/accuracy"):
        assert metrics[curve] == pytest.approx(history[curve][1], abs=1e-6)
    parts = run.record["metrics"]
    for part in ("val", "test"):
        assert metrics[f"final/{part}_accuracy"] == [pytest.approx(parts[part]["accuracy"])]
    for figure in ("accuracy", "loss"):
        assert metrics[f"test/{figure}"] == [pytest.approx(parts["test"][figure])]
