"""What several tests read from a run folder, and how they interrupt a training."""

import csv
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fmnist.core.runs import Run
from fmnist.models.classifier import Classifier

# flags beside those of conftest's tiny trainings
WHOLE = [
    *("--trainer.max_epochs", "4", "--ema", "0.8", "--data.augmentation.flip", "true"),
    *("--trainer.log_every_n_steps", "3"),
]

STILL = [
    *("--model.optimizer", "sgd", "--model.learning_rate", "1e-20", "--model.batch_norm", "false"),
    *("--trainer.max_epochs", "6", "--model.schedule", "constant"),
]  # learns nothing, so that it is stopped early


def checkpoint(run: Run, name: str = "best") -> dict[str, Tensor]:
    return torch.load(run.path / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def equal(one: Any, other: Any) -> bool:
    """Tell whether two nestings of tensors and values are the same, bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def assert_same_checkpoints(found: Run, wanted: Run) -> None:
    """Compare what two trainings with averaged weights have saved, bit for bit."""
    for name in ("last.ckpt", "best.ckpt"):
        one, other = (
            torch.load(run.path / "checkpoints" / name, weights_only=True) for run in (found, wanted)
        )
        keys = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers")
        assert not [key for key in (*keys, "global_step") if not equal(one[key], other[key])]


def rows(run: Run) -> list[dict[str, str]]:
    return table_rows(run.path / "metrics.csv")


def table_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Killed(BaseException):
    """Ends a run where it is, as ``kill -9`` would: nothing is saved any more."""


@contextmanager
def interruption(place: str, step: int, by: int | None, times: int = 1) -> Iterator[None]:
    """Raise or send a signal as a method of the classifier is entered at a step; it must end the block."""
    original = getattr(Classifier, place)

    def hook(self: Classifier, *args: Any) -> Any:
        if self.trainer.global_step == step:
            if by is None:
                raise Killed
            for _ in range(times):
                os.kill(os.getpid(), by)
        return original(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Classifier, place, hook)
        with pytest.raises(Killed if by is None else SystemExit) as stop:
            yield
    if by is not None:
        assert stop.value.code == (130 if by == signal.SIGINT else 143)
