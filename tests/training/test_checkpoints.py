"""Checkpoints are replaced in one step and verified, and the one before is kept."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from fmnist.core.errors import InputError
from fmnist.models.loading import read_checkpoint
from fmnist.training.checkpoints import LAST, PREVIOUS, AtomicCheckpointIO, keep, restore_last

io = AtomicCheckpointIO()


def state(value: float) -> dict[str, Any]:
    return {"state_dict": {"weight": torch.full((50,), value)}}


def value(path: Path) -> float:
    return read_checkpoint(path)["state_dict"]["weight"][0].item()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold ``last.ckpt`` with 2 and ``previous.ckpt`` with 1."""
    folder = tmp_path / "checkpoints"
    io.save_checkpoint(state(1), folder / "last.ckpt")
    keep(folder, LAST, PREVIOUS)
    io.save_checkpoint(state(2), folder / "last.ckpt")
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_last_checkpoint_and_the_one_before(folder: Path) -> None:
    assert names(folder) == {"last.ckpt", "previous.ckpt"}
    assert (value(folder / "last.ckpt"), value(folder / "previous.ckpt")) == (2, 1)
    restore_last(folder)
    keep(folder, LAST, PREVIOUS)
    keep(folder, LAST, PREVIOUS)  # when the second writing of last.ckpt failed
    assert (value(folder / "last.ckpt"), value(folder / "previous.ckpt")) == (2, 2)
    io.remove_checkpoint(folder / "last.ckpt")
    assert names(folder) == {"previous.ckpt"}


def test_without_hard_links_the_one_before_is_a_copy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    keep(folder, LAST, PREVIOUS)
    assert value(folder / "previous.ckpt") == 2
    assert not (folder / "last.ckpt").samefile(folder / "previous.ckpt")


@pytest.mark.parametrize("damaged", [False, True], ids=["saving", "falling back"])
@pytest.mark.parametrize("replacements", range(3))
def test_an_interruption_anywhere_leaves_a_checkpoint(
    folder: Path, monkeypatch: pytest.MonkeyPatch, damaged: bool, replacements: int
) -> None:
    real, done = os.replace, []

    def replace(source: Any, target: Any) -> None:
        if len(done) == replacements:
            raise KeyboardInterrupt
        done.append(target)
        real(source, target)

    if damaged:
        (folder / "last.ckpt").write_bytes(b"")
    (folder / ".1-0.unfinished").write_bytes(b"of a process that was killed")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", replace)
        try:
            if damaged:
                restore_last(folder)
            keep(folder, LAST, PREVIOUS)
            io.save_checkpoint(state(3), folder / "last.ckpt")
        except KeyboardInterrupt:
            assert len(done) == replacements
    restore_last(folder)
    saved = replacements >= (3 if damaged else 2)
    assert value(folder / "last.ckpt") == (3 if saved else 1 if damaged else 2)
    assert names(folder) == {"last.ckpt", "previous.ckpt"}


def test_a_truncated_checkpoint_is_reported_and_the_one_before_is_taken(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.truncate(folder / "last.ckpt", 700)
    restore_last(folder)
    assert value(folder / "last.ckpt") == 1
    output = capsys.readouterr().err
    assert "last.ckpt: is damaged" in output
    assert "continuing from previous.ckpt" in output
    os.truncate(folder / "last.ckpt", 0)  # damage to the one spares the other
    assert value(folder / "previous.ckpt") == 1


@pytest.mark.parametrize(("end", "best"), [(None, 1), ("max_steps", 2)])
def test_the_best_of_before_an_end_that_was_not_saved_is_taken(
    folder: Path, end: str | None, best: int
) -> None:
    io.save_checkpoint(state(1), folder / "best_before_end.ckpt")
    io.save_checkpoint(state(2), folder / "best.ckpt")  # of the validation of that end
    callbacks = {"LastCheckpoint": {"ended_within_epoch_by": end}}
    io.save_checkpoint(state(2) | {"callbacks": callbacks}, folder / "last.ckpt")
    restore_last(folder)
    assert value(folder / "best.ckpt") == best


def test_a_damaged_one_before_is_no_reason_to_refuse_the_last(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    callbacks = {"LastCheckpoint": {"ended_within_epoch_by": "max_time"}}
    io.save_checkpoint(state(2) | {"callbacks": callbacks}, folder / "last.ckpt")
    (folder / "previous.ckpt").write_bytes(b"")
    restore_last(folder)
    assert value(folder / "last.ckpt") == 2
    warning = capsys.readouterr().err
    assert "previous.ckpt: is damaged" in warning
    assert "continuing from last.ckpt" in warning
    keep(folder, LAST, PREVIOUS)
    io.save_checkpoint(state(3) | {"callbacks": callbacks}, folder / "last.ckpt")
    restore_last(folder)
    assert value(folder / "last.ckpt") == 2


def test_both_damaged_or_none(folder: Path, tmp_path: Path) -> None:
    for name in ("last.ckpt", "previous.ckpt"):
        (folder / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"last\.ckpt: is damaged.*previous\.ckpt: is damaged.*train anew"):
        restore_last(folder)
    with pytest.raises(InputError, match="holds no last"):
        restore_last(tmp_path / "empty")


def test_a_full_disk_is_reported_and_leaves_the_old_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left on device") as caught:
            io.save_checkpoint(state(3), folder / "last.ckpt")
    assert caught.value.filename == str(folder / "last.ckpt")
    restore_last(folder)
    assert value(folder / "last.ckpt") == 2
