"""``scripts/benchmark.py`` as a process: its help costs nothing."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "scripts/benchmark.py", "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    after = os.times()
    assert done.returncode == 0
    assert "--only {loader,step,overhead}" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"torch", "torchvision", "lightning", "numpy", "matplotlib", "sklearn"}
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < 1.5


def test_a_wrong_choice_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/benchmark.py", "--only", "loaders"],
        cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 2
    assert "invalid choice: 'loaders'" in done.stderr
