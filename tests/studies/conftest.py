"""A search that takes seconds: its configuration, its search file, and the commands that run it."""

import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from scripts import study
from tests.machine import heed_signals

ROOT = Path(__file__).parents[2]
TRAINER = Path(__file__).with_name("quick_trainer.py")
SPACE = """
x: {low: 1e-3, high: 1.0, log: true}
kind: [a, b]
y: {low: 0, high: 1.0, if: {kind: a}}
"""


class QuickStudy:
    """A search of the quick trainer in a folder.

    Args:
        folder: Of everything.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.config, self.space = folder / "quick.yaml", folder / "space.yaml"
        self.config.write_text(f"# python {TRAINER} --config {self.config}\nname: quick\n")
        self.space.write_text(SPACE)
        self.folder = folder / "logs" / "studies" / "quick-search"

    def arguments(self, *more: object) -> list[str]:
        logs = ["--logs", str(self.root / "logs")]
        return ["--config", str(self.config), "--search", str(self.space), *logs, *map(str, more)]

    def start(self, *more: object, **environment: str) -> subprocess.Popen[str]:
        """Start the study as a process."""
        command = [sys.executable, str(ROOT / "scripts" / "study.py"), *self.arguments(*more)]
        return subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            preexec_fn=heed_signals,
        )  # fmt: skip

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        """Return the trials of the journal."""
        storage = JournalStorage(JournalFileBackend(str(self.folder / "journal.log")))
        return optuna.load_study(study_name="quick-search", storage=storage).trials


def call(arguments: list[str]) -> int:
    """Run the script in this process, and return its exit status."""
    with pytest.raises(SystemExit) as stop:
        study.main(arguments)
    return int(stop.value.code or 0)


@pytest.fixture
def quick(tmp_path: Path) -> QuickStudy:
    return QuickStudy(tmp_path)


def outcomes(trials: list[optuna.trial.FrozenTrial]) -> list[tuple[object, ...]]:
    """Return what two studies have in common that drew and learned the same."""
    return [
        (trial.number, trial.state.name, trial.params, trial.values, trial.intermediate_values)
        for trial in trials
    ]
