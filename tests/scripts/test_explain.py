"""``scripts/explain.py`` as a process: its help lists every method and imports nothing heavy."""

import subprocess
import sys
from pathlib import Path

from fmnist.explanation.methods import METHODS

ROOT = Path(__file__).parents[2]


def test_help_lists_every_method_and_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "scripts/explain.py", "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert "--faithfulness [N]" in done.stdout
    for name, method in METHODS.items():
        assert f"  {name} " in done.stdout
        assert method.title in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"torch", "torchvision", "lightning", "numpy", "matplotlib", "captum"}


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "scripts/explain.py", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert (
        done.stderr == f"error: {tmp_path}: holds no finished run (a run folder, or logs/NAME, is wanted)\n"
    )
