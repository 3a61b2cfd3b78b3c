"""``scripts/explain.py`` as a process: its help costs nothing."""

import os
import subprocess
import sys
from pathlib import Path

from fmnist.explanation.methods import METHODS
from scripts import explain

ROOT = Path(__file__).parents[2]


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "scripts/explain.py", "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    after = os.times()
    assert done.returncode == 0
    assert "--faithfulness [N]" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"torch", "torchvision", "lightning", "numpy", "matplotlib", "captum"}
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < 1.5


def test_the_help_knows_every_method() -> None:
    assert explain.METHODS.split() == list(METHODS)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/explain.py", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert (
        done.stderr == f"error: {tmp_path}: holds no finished run (a run folder, or logs/NAME, is wanted)\n"
    )
