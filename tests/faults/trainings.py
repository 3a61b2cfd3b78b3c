"""Tiny trainings for the faults, what happens within them, and whether two ended alike."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fmnist.core.runs import Run
from fmnist.models import cnn, lenet5, mlp  # noqa: F401  imported once, for all forks
from fmnist.models.classifier import Classifier
from fmnist.models.loading import read_checkpoint
from fmnist.training import outputs
from fmnist.training.checkpoints import LAST, AtomicCheckpointIO
from fmnist.training.train import main
from tests.faults.processes import Child, last_line, run
from tests.synthetic import write_synthetic
from tests.training.folder import equal

ROOT = Path(__file__).parents[2]
EPOCHS, STEPS = 4, 5  # steps in an epoch
MLP = [
    *("--model", "fmnist.models.mlp.LitMLP", "--model.widths", "[16]", "--model.batch_norm", "true"),
    *("--model.dropout", "0.2", "--model.optimizer", "muon"),
    *("--data.augmentation.shift", "1", "--data.augmentation.flip", "true"),
]
LENET5 = ["--config", str(ROOT / "configs/lenet5.yaml")]
CNN = ["--config", str(ROOT / "configs/cnn.yaml")]

Prepare = Callable[[], None]


@contextmanager
def workplace(root: str | None = None) -> Iterator[Path]:
    """Make a folder that any user may enter, with a drawn data set in ``data``, until the ``with`` ends."""
    with tempfile.TemporaryDirectory(prefix="fmnist-faults-", dir=root) as name:
        folder = Path(name)
        folder.chmod(0o755)
        write_synthetic(folder / "data", train_size=600, test_size=200)
        yield folder


def flags(folder: Path, name: str, *more: str, network: list[str] = MLP) -> list[str]:
    """Return the command line of a training of ``EPOCHS`` epochs of ``STEPS`` steps on the CPU."""
    return [
        *network,
        *("--data.root", str(folder / "data"), "--data.batch_size", "100", "--data.val_size", "100"),
        *("--trainer.max_epochs", str(EPOCHS), "--trainer.accelerator", "cpu", "--trainer.devices", "1"),
        *("--trainer.precision", "32-true", "--ema", "0.8"),
        *("--logs", str(folder / "logs"), "--name", name, *more),
    ]


def run_of(folder: Path, name: str) -> Path:
    """Return the folder of the first run of a name."""
    return folder / "logs" / name / "version_0"


def train(command_line: list[str], prepare: Prepare | None = None) -> None:
    """Train as ``scripts/train.py`` does, without the figures, after ``prepare`` was called."""
    torch.set_num_threads(1)
    outputs.draw_figures = lambda *_: {}  # they take most of the time
    outputs.write_tensorboard = lambda *_: None
    sys.argv = ["scripts/train.py"]
    if prepare is not None:
        prepare()
    main(command_line)


def at(place: str, step: int, act: Callable[[Any], object]) -> None:
    """Do something, once, as a method of the classifier is entered at a global step."""
    original = getattr(Classifier, place)

    def hook(self: Classifier, *args: Any) -> Any:
        if self.trainer.global_step == step:
            setattr(Classifier, place, original)
            act(self)
        return original(self, *args)

    setattr(Classifier, place, hook)


def signal_at(place: str, step: int, number: int, noted: Path) -> None:
    """Let the process send itself a signal at a place, and note the time."""
    at(place, step, lambda _: send(number, noted))


def send(number: int, noted: Path) -> None:
    noted.write_text(repr(time.time()))
    os.kill(os.getpid(), number)


def count_steps(file: Path) -> None:
    """Let a file be as many bytes long as steps were begun."""
    output = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    original = Classifier.training_step

    def step(self: Classifier, *args: Any) -> Tensor:
        os.write(output, b".")
        return original(self, *args)

    Classifier.training_step = step


def note_start(file: Path) -> None:
    """Write the step of the checkpoint that is loaded into a file."""
    original = AtomicCheckpointIO.load_checkpoint

    def load(self: AtomicCheckpointIO, *args: Any, **kwargs: Any) -> dict[str, Any]:
        checkpoint = original(self, *args, **kwargs)
        file.write_text(str(checkpoint["global_step"]))
        return checkpoint

    AtomicCheckpointIO.load_checkpoint = load


def whole(folder: Path, name: str, network: list[str] = MLP) -> tuple[Run, float]:
    """Train without a fault; return the run, and the seconds from its first checkpoint to its end."""
    path = run_of(folder, name)
    with Child(folder / "whole.log", train, flags(folder, name, network=network)) as child:
        wait_for(child, path / "checkpoints" / LAST)
        start = time.monotonic()
        assert child.wait() == 0, last_line(child.log)
    return Run(path), time.monotonic() - start


def resume(folder: Path, path: Path) -> tuple[Run, int]:
    """Go on with a run to its end; return it, and the step it went on from."""
    start = folder / "start"
    start.unlink(missing_ok=True)
    log = folder / "resume.log"
    assert run(log, train, ["--resume", str(path)], partial(note_start, start)) == 0, last_line(log)
    return Run(path), int(start.read_text())


def wait_for(child: Child, path: Path) -> None:
    while not path.exists():
        assert child.running, last_line(child.log)
        time.sleep(0.002)


def interrupted(folder: Path, name: str, step: int) -> Path:
    """Train until SIGTERM at a step and return the run's folder."""
    prepare = partial(signal_at, "training_step", step, signal.SIGTERM, folder / "noted")
    run(folder / "stop.log", train, flags(folder, name), prepare)
    return run_of(folder, name)


def differences(run: Run, expected: Run) -> list[str]:
    """Return what two runs ended with that is not the same, bit for bit."""
    one, other = _results(run), _results(expected)
    unfinished = [] if run.status == "finished" else ["status"]
    return unfinished + [name for name in one if not equal(one[name], other[name])]


def _results(run: Run) -> dict[str, Any]:
    state = read_checkpoint(run.path / "checkpoints" / LAST)
    names = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers")
    logits = {part: torch.from_numpy(run.predictions(part).logits) for part in ("val", "test")}
    return {
        **{name: run.record[name] for name in ("metrics", "epochs")},
        **{f"predictions of {part}": values for part, values in logits.items()},
        "metrics.csv": _curves(run),
        **{name: state.get(name) for name in names},
    }


def _curves(run: Run) -> dict[str, list[list[float]]]:
    """Return the curves of a run but for those that a clock measured."""
    curves = {name: [epochs.tolist(), values.tolist()] for name, (epochs, values) in run.history().items()}
    return {name: curve for name, curve in curves.items() if name not in ("seconds", "images_per_second")}


def largest_difference(*runs: Run) -> float:
    """Return the largest difference of two runs' final weights."""
    one, other = (read_checkpoint(run.path / "checkpoints" / LAST)["state_dict"] for run in runs)
    return max((value.double() - other[name].double()).abs().max().item() for name, value in one.items())


def step_of(checkpoint: Path) -> int:
    """Return the number of optimiser steps that a checkpoint holds."""
    return read_checkpoint(checkpoint)["global_step"]
