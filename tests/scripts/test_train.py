"""``scripts/train.py`` as a process: help, signals, and two processes that train together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix

from fmnist.data import source
from tests.machine import heed_signals

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


def command(root: Path, logs: Path, *extra: str) -> list[str]:
    model = ["--model", "fmnist.models.mlp.LitMLP", "--model.widths", "[8]"]
    data = ["--data.root", str(root), "--data.batch_size", "100", "--data.val_size", "100"]
    trainer = ["--trainer.accelerator", "cpu", "--trainer.precision", "32-true", "--logs", str(logs)]
    return [sys.executable, str(ROOT / "scripts" / "train.py"), *model, *data, *trainer, *extra]


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_leaves_a_usable_run(
    synthetic_root: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    run = tmp_path / "logs" / "run" / "version_0"
    last = run / "checkpoints" / "last.ckpt"
    with subprocess.Popen(
        command(synthetic_root, tmp_path / "logs", "--trainer.max_epochs", "100000"),
        cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=heed_signals,
    ) as process:  # fmt: skip
        try:
            end = time.monotonic() + 240
            while not last.exists() and process.poll() is None and time.monotonic() < end:
                time.sleep(0.1)
            process.send_signal(number)
            _, said = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == status, said
    assert "Traceback" not in said
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "stopped"
    assert record["finished"] is not None
    state = torch.load(last, weights_only=True)
    assert all(value.isfinite().all() for value in state["state_dict"].values())
    assert (run / "metrics.csv").read_text().startswith("epoch,")


@pytest.mark.parametrize("val_size", [100, 1])  # of one image, one process has none
def test_two_processes_make_one_run(synthetic_root: Path, tmp_path: Path, val_size: int) -> None:
    together = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.max_epochs", "1"]
    together += ["--data.val_size", str(val_size)]
    done = subprocess.run(
        command(synthetic_root, tmp_path / "logs", *together, "--data.eval_batch_size", "64"),
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "logs" / "run").iterdir()
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "finished"
    assert done.stdout.count("test accuracy ") == 1
    labels = source.load(synthetic_root).test_labels.numpy()
    with np.load(run / "predictions" / "test.npz") as arrays:
        logits, found, indices = arrays["logits"], arrays["labels"], arrays["indices"]
    assert np.array_equal(indices, np.arange(len(labels)))
    assert np.array_equal(found, labels)
    confusion = confusion_matrix(labels, logits.argmax(1), labels=range(10))
    assert record["metrics"]["test"]["confusion_matrix"] == confusion.tolist()
    assert sum(map(sum, record["metrics"]["val"]["confusion_matrix"])) == val_size


@pytest.mark.gpu
def test_a_gpu_learns_what_the_processor_learns(synthetic_root: Path, tmp_path: Path) -> None:
    accuracy = {}
    for accelerator in ("cpu", "gpu"):
        flags = ["--trainer.accelerator", accelerator, "--trainer.max_epochs", "5", "--name", accelerator]
        done = subprocess.run(
            command(synthetic_root, tmp_path / "logs", *flags, "--model.widths", "[64]"),
            cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        record = json.loads((tmp_path / "logs" / accelerator / "version_0" / "run.json").read_text())
        accuracy[accelerator] = record["metrics"]["test"]["accuracy"]
    assert accuracy["gpu"] == pytest.approx(accuracy["cpu"], abs=0.05)
