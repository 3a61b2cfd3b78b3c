"""Tiny trainings for the tests of this folder, and such that are interrupted."""

import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tensorboard.summary.writer import event_file_writer

from fmnist.core.runs import Run
from fmnist.training import outputs
from fmnist.training.train import main
from tests.quick import leave_out_figures
from tests.training.folder import interruption


@pytest.fixture(autouse=True)
def event_files_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Number TensorBoard's files with as many digits; of one second it reads them by name, 100 before 99."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(1_000))


@pytest.fixture(autouse=True)
def _no_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["train.py"])  # Lightning warns of flags beside given ones


@pytest.fixture(autouse=True)
def _not_under_nohup() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def tiny(synthetic_root: Path) -> list[str]:
    """Flags of a training of two epochs of five steps, 500 training and 100 validation images."""
    model = ["--model", "fmnist.models.mlp.LitMLP", "--model.widths", "[16]", "--model.batch_norm", "true"]
    recipe = ["--model.dropout", "0.1", "--model.learning_rate", "0.01", "--data.augmentation.shift", "1"]
    data = ["--data.root", str(synthetic_root), "--data.batch_size", "100", "--data.val_size", "100"]
    trainer = ["--trainer.accelerator", "cpu", "--trainer.devices", "1", "--trainer.precision", "32-true"]
    return [*model, *recipe, *data, *trainer, "--trainer.max_epochs", "2"]


@pytest.fixture
def train(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[..., Run]:
    """Train with ``tiny``, the flags that the test's module names ``ALWAYS``, and more; without figures."""
    leave_out_figures(monkeypatch, outputs)
    always = getattr(request.module, "ALWAYS", [])

    def run(*extra: str) -> Run:
        finished = main([*tiny, "--logs", str(tmp_path / "logs"), *always, *extra])
        assert finished is not None
        return Run(finished.path)

    return run


@pytest.fixture
def interrupted(train: Callable[..., Run], tmp_path: Path) -> Callable[..., Run]:
    """Train until an interruption, and return the run."""

    def interrupt(place: str, step: int, by: int | None, *flags: str, times: int = 1) -> Run:
        with interruption(place, step, by, times):
            train("--name", "cut", *flags)
        return Run(tmp_path / "logs" / "cut" / "version_0")

    return interrupt


@pytest.fixture
def refusal(refused: Callable[..., str]) -> Callable[..., str]:
    """Return a function that runs ``main`` with flags that it must refuse, and returns the message."""
    return partial(refused, main)
