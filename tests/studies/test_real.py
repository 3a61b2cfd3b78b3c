"""A search of real trainings that is killed: each trial ends with the weights of one that ran through."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fmnist.core.runs import Run
from tests.machine import kill_children
from tests.training.folder import checkpoint, equal, rows

ROOT = Path(__file__).parents[2]
CONFIG = """
name: tiny
model: {class_path: fmnist.models.mlp.LitMLP, init_args: {widths: [8]}}
trainer: {max_epochs: 3, accelerator: cpu, precision: 32-true}
"""
SPACE = "model.learning_rate: {low: 1e-3, high: 0.1, log: true}\nmodel.widths: [[8], [16, 8]]\n"


@pytest.mark.slow
def test_killed_trials_end_with_the_same_weights(synthetic_root: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    (tmp_path / "space.yaml").write_text(SPACE)
    data = ["--data.root", str(synthetic_root), "--data.val_size", "100", "--data.batch_size", "50"]
    common = ["--config", str(tmp_path / "tiny.yaml"), *data]
    command = [sys.executable, str(ROOT / "scripts" / "study.py"), *common, "--trials", "2"]
    command += ["--search", str(tmp_path / "space.yaml"), "--logs", str(tmp_path / "logs")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    folder = tmp_path / "logs" / "studies" / "tiny-search" / "tiny"
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        while not (folder / "version_0" / "checkpoints" / "last.ckpt").exists():
            assert process.poll() is None
            time.sleep(0.02)
        kill_children(process.pid)
        process.kill()
    assert subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, timeout=400).returncode == 0
    trials = Run.all(folder)
    assert [run.status for run in trials] == ["finished"] * 2
    assert trials[0].record["resumed"] == 1
    first = trials[0].record["study"]["values"]
    flags = [
        "--model.learning_rate",
        str(first["model.learning_rate"]),
        "--model.widths",
        first["model.widths"],
    ]
    alone = [sys.executable, str(ROOT / "scripts" / "train.py"), *common, *flags, "--logs", str(tmp_path)]
    assert subprocess.run(alone, env=environment, stdout=subprocess.DEVNULL, timeout=400).returncode == 0
    other = Run(tmp_path / "tiny" / "version_0")
    assert equal(checkpoint(trials[0]), checkpoint(other))
    assert [row["val/accuracy"] for row in rows(trials[0])] == [row["val/accuracy"] for row in rows(other)]
