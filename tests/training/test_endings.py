"""Which weights are scored, when a training ends, and how it fails."""

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models.mlp import MLP, LitMLP
from fmnist.training import outputs, session
from fmnist.training.train import main
from tests.training.folder import checkpoint, equal, rows

TEST = 200  # images


def validation(root: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Return images uint8 (N, 28, 28), labels (N,) and indices (N,) of the validation set."""
    data = FashionMNISTDataModule(str(root), val_size=100)
    indices = data.val_indices
    return data.data.train_images[indices], data.data.train_labels[indices], indices


def score(state: dict[str, Tensor], root: Path, images: Tensor | None = None) -> Tensor:
    """Score images, by default the test set, by hand."""
    network = MLP([16], batch_norm=True, dropout=0.1).eval()
    network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})
    with torch.no_grad():
        return network((source.load(root).test_images if images is None else images)[:, None] / 255)


@pytest.mark.parametrize("extra", [[], ["--ema", "0.5"]], ids=["plain", "ema"])
def test_the_best_epoch_by_validation_is_scored(
    train: Callable[..., Run], synthetic_root: Path, monkeypatch: pytest.MonkeyPatch, extra: list[str]
) -> None:
    def spoil(self: LitMLP) -> None:
        self._epoch_buffers["train"].clear()
        if self.current_epoch == 2:
            torch.nn.init.normal_(self.network.head.weight)

    monkeypatch.setattr(LitMLP, "on_train_epoch_start", spoil)
    run = train("--trainer.max_epochs", "3", "--model.schedule", "constant", "--model.warmup", "0", *extra)
    accuracies = [float(row["val/accuracy"]) for row in rows(run)]
    assert accuracies[2] < max(accuracies)
    assert run.record["metrics"]["val"]["accuracy"] == pytest.approx(max(accuracies), abs=1e-6)
    logits = score(checkpoint(run), synthetic_root)
    np.testing.assert_allclose(run.predictions("test").logits, logits, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(score(checkpoint(run, "last"), synthetic_root), logits, atol=0.1)


def test_without_validation_the_last_epoch_is_scored(train: Callable[..., Run], synthetic_root: Path) -> None:
    run = train("--data.val_size", "0")
    assert run.record["split"] == {"split_seed": 0, "fold": 0, "train": 600, "val": 0, "test": TEST}
    assert run.record["metrics"].keys() == {"test"}
    assert not (run.path / "predictions" / "val.npz").exists()
    assert equal(checkpoint(run, "best"), checkpoint(run, "last"))
    assert not [name for name in rows(run)[0] if name.startswith("val/")]
    logits = score(checkpoint(run, "last"), synthetic_root)
    np.testing.assert_allclose(run.predictions("test").logits, logits, rtol=1e-4, atol=1e-4)


def test_averaging_with_the_mirror_image_is_recorded(train: Callable[..., Run], synthetic_root: Path) -> None:
    run = train("--model.flip_average", "true")
    assert run.record["flip_average"] is True
    plain = score(checkpoint(run), synthetic_root)
    assert not np.allclose(run.predictions("test").logits, plain, atol=1e-3)


ACCUMULATION = [
    "--trainer.callbacks+=lightning.pytorch.callbacks.GradientAccumulationScheduler",
    "--trainer.callbacks.scheduling={0: 1, 1: 3}",
]


@pytest.mark.parametrize(
    ("extra", "steps"),
    [
        ([*ACCUMULATION, "--trainer.max_epochs", "3"], 6 + 2 + 2),
        ([*ACCUMULATION, "--trainer.max_epochs", "3", "--trainer.max_steps", "9"], 9),
    ],
)
def test_the_schedule_ends_with_training(train: Callable[..., Run], extra: list[str], steps: int) -> None:
    run = train("--data.val_size", "0", *extra)
    state = torch.load(run.path / "checkpoints" / "last.ckpt", weights_only=True)
    assert run.record["status"] == "finished"
    assert state["global_step"] == steps
    assert state["lr_schedulers"][0]["_last_lr"] == pytest.approx([0, 0], abs=1e-12)


def test_a_run_without_a_validation_scores_where_it_ended(
    train: Callable[..., Run], synthetic_root: Path
) -> None:
    run = train("--trainer.max_steps", "4", "--ema", "0.5", "--trainer.limit_val_batches", "0")
    assert float(rows(run)[0]["images_per_second"]) > 0
    for name in ("best", "last"):
        logits = score(checkpoint(run, name), synthetic_root)
        np.testing.assert_allclose(run.predictions("test").logits, logits, rtol=1e-4, atol=1e-4)


EVERY_TWO = ("--trainer.check_val_every_n_epoch", "2", "--trainer.max_epochs", "3")


@pytest.mark.parametrize(
    ("flags", "steps", "by"),
    [
        (["--trainer.max_steps", "4"], 4, "max_steps 4 in epoch 1 of 2"),
        (["--trainer.max_steps", "7", "--ema", "0.5"], 7, "max_steps 7 in epoch 2 of 2"),
        (["--trainer.max_steps", "8", "--trainer.max_epochs", "-1"], 8, "max_steps 8"),
        (EVERY_TWO, 15, "max_epochs 3"),
        ([*EVERY_TWO, "--trainer.max_steps", "13"], 13, "max_steps 13 in epoch 3 of 3"),
        (["--trainer.val_check_interval", "0.4"], 10, "max_epochs 2"),
        (
            ["--trainer.val_check_interval", "4", "--trainer.check_val_every_n_epoch", "null"],
            10,
            "max_epochs 2",
        ),
        (
            ["--trainer.accumulate_grad_batches", "2", "--trainer.max_steps", "4"],
            4,
            "max_steps 4 in epoch 2 of 2",
        ),
    ],
)
def test_the_last_steps_are_validated_and_what_ended_training_is_said(
    train: Callable[..., Run],
    synthetic_root: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    steps: int,
    by: str,
) -> None:
    run = train(*flags, "--model.learning_rate", "1e-3", "--model.schedule", "constant")
    last = rows(run)[-1]
    images, labels, _ = validation(synthetic_root)
    accuracy = (score(checkpoint(run, "last"), synthetic_root, images).argmax(1) == labels).float().mean()
    assert float(last["val/accuracy"]) == pytest.approx(float(accuracy))
    assert int(last["step"]) == steps - 1
    lines = capsys.readouterr().out.splitlines()
    epoch_lines = [line for line in lines if line.startswith("epoch")]
    assert f"val loss {float(last['val/loss']):.4f} accuracy {float(accuracy):.4f}" in epoch_lines[-1]
    validated = [bool(row["val/loss"]) for row in rows(run)]
    assert ["val loss" in line for line in epoch_lines] == validated  # never those of an epoch before
    assert lines[-1].endswith(f"; ended by {by}")
    assert (run.status, run.record["ended_by"]) == ("finished", by.split()[0])
    assert (run.record["steps"], run.record["error"]) == (steps, None)


def test_a_defect_fails_the_run_and_keeps_its_traceback(
    train: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(LitMLP, "validation_step", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        train()
    run = Run(tmp_path / "logs/run/version_0")
    assert (run.status, run.record["error"]) == ("failed", "RuntimeError: a defect")
    assert run.record["ended_by"] is None


def test_sigterm_while_the_figures_are_drawn_stops_the_run(
    train: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "draw_figures", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        train("--name", "killed")
    assert stop.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    run = Run(next(tmp_path.rglob("killed/version_0")))
    assert (run.record["status"], run.record["epochs"]) == ("stopped", 2)
    assert run.predictions("test").accuracy > 0


@pytest.mark.parametrize(
    ("owner", "function", "status"),
    [(session, "write_file", "failed"), (outputs, "draw_figures", "failed"), (Run, "finish", "running")],
    ids=["first file", "figures", "last line"],
)
def test_a_disk_that_fills_up_is_reported(
    train: Callable[..., Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    owner: Any,
    function: str,
    status: str,
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "some.file")

    monkeypatch.setattr(owner, function, full)
    with pytest.raises(SystemExit) as stop:
        train("--name", "full")
    assert stop.value.code == 2
    message = f"error: --logs {tmp_path / 'logs'}: cannot be written (No space left on device: some.file); "
    assert message in capsys.readouterr().err
    assert Run(tmp_path / "logs" / "full" / "version_0").status == status


def test_a_resumed_run_whose_disk_fills_up_names_its_own_folder(
    train: Callable[..., Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outputs, "draw_figures", full)
    with pytest.raises(SystemExit):
        train("--name", "full")
    moved = (tmp_path / "logs" / "full" / "version_0").rename(tmp_path / "moved")
    shutil.rmtree(tmp_path / "logs")
    with pytest.raises(SystemExit):
        main(["--resume", str(moved)])
    assert f"error: --resume {moved}: cannot be written (" in capsys.readouterr().err


def test_a_resumed_run_that_fails_before_its_checkpoint_is_loaded_keeps_its_figures(
    interrupted: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = interrupted("training_step", 7, signal.SIGTERM)
    before = {key: cut.record[key] for key in ("epochs", "steps", "train_seconds", "training_multiply_adds")}

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session.Session, "_open_loggers", fail)
    with pytest.raises(SystemExit):
        main(["--resume", str(cut.path)])
    after = Run(cut.path).record
    assert after["resumed"] == 1
    assert before["training_multiply_adds"] > 0
    assert {key: after[key] for key in before} == before


@pytest.mark.parametrize(
    "flags",
    [
        ["--trainer.fast_dev_run", "true"],
        ["--trainer.gradient_clip_val", "1", "--trainer.precision", "bf16-mixed", "--model.optimizer=adamw"],
    ],
)
def test_other_flags_of_the_trainer(train: Callable[..., Run], flags: list[str]) -> None:
    run = train(*flags)
    assert run.status == "finished"
    assert len(run.predictions("test").labels) == TEST
