"""Checkpoints are whole, verified, safe to load, and the one before stays until the next is there."""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from fmnist.core.errors import InputError
from fmnist.models.loading import digest_file, read_checkpoint
from fmnist.training import checkpoints
from fmnist.training.checkpoints import AtomicCheckpointIO, LastCheckpoint, keep_previous, restore_last
from fmnist.training.signals import StopSignals

io = AtomicCheckpointIO()


def state(value: float) -> dict[str, Any]:
    return {"state_dict": {"weight": torch.full((50,), value)}}


def value(path: Path) -> float:
    return read_checkpoint(path)["state_dict"]["weight"][0].item()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold ``last.ckpt`` with 2 and ``previous.ckpt`` with 1."""
    io.save_checkpoint(state(1), tmp_path / "last.ckpt")
    keep_previous(tmp_path)
    io.save_checkpoint(state(2), tmp_path / "last.ckpt")
    return tmp_path


def test_a_checkpoint_and_its_digest(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "last.ckpt", "last.ckpt.sha256", "previous.ckpt", "previous.ckpt.sha256",
    ]  # fmt: skip
    content = (folder / "last.ckpt").read_bytes()
    assert (
        digest_file(folder / "last.ckpt").read_text() == f"{hashlib.sha256(content).hexdigest()}  last.ckpt\n"
    )
    assert (value(folder / "last.ckpt"), value(folder / "previous.ckpt")) == (2, 1)
    restore_last(folder)
    assert value(folder / "last.ckpt") == 2
    io.remove_checkpoint(folder / "last.ckpt")
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("writes", range(6))
def test_an_interruption_anywhere_leaves_a_checkpoint(
    folder: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    real, done = os.replace, []

    def replace(source: Any, target: Any) -> None:
        if len(done) == writes:
            raise KeyboardInterrupt  # no handler of files sees it: as good as a loss of power
        done.append(target)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    keeps = 2  # files that ``keep_previous`` writes
    try:
        keep_previous(folder)
        io.save_checkpoint(state(3), folder / "last.ckpt")
    except KeyboardInterrupt:
        assert len(done) == writes
    monkeypatch.undo()
    restore_last(folder)
    assert value(folder / "last.ckpt") == (3 if writes >= keeps + 2 else 2)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.99])
def test_a_checkpoint_cut_short_is_said_and_the_one_before_is_taken(
    folder: Path, capsys: pytest.CaptureFixture[str], share: float
) -> None:
    size = (folder / "last.ckpt").stat().st_size
    os.truncate(folder / "last.ckpt", int(size * share))
    restore_last(folder)
    assert value(folder / "last.ckpt") == 1
    said = capsys.readouterr().out
    assert "last.ckpt: is damaged" in said
    assert "going on from previous.ckpt" in said


@pytest.mark.parametrize("writes", range(2))
def test_an_interrupted_fall_back_is_done_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    real, done = os.replace, []

    def replace(source: Any, target: Any) -> None:
        if len(done) == writes:
            raise KeyboardInterrupt
        done.append(target)
        real(source, target)

    (folder / "last.ckpt").write_bytes(b"")
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        restore_last(folder)
    monkeypatch.undo()
    restore_last(folder)
    assert value(folder / "last.ckpt") == 1


def test_a_checkpoint_that_lost_its_digest_gives_way_to_the_one_before(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest_file(folder / "last.ckpt").unlink()
    restore_last(folder)
    assert value(folder / "last.ckpt") == 1
    assert "last.ckpt.sha256 is missing" in capsys.readouterr().out


def test_a_checkpoint_from_before_digests_takes_the_place_of_one_with_a_digest(folder: Path) -> None:
    torch.save(state(1), folder / "previous.ckpt")
    digest_file(folder / "previous.ckpt").unlink()
    (folder / "last.ckpt").write_bytes(b"")
    restore_last(folder)
    assert value(folder / "last.ckpt") == 1


def test_a_copied_digest_names_the_copy(folder: Path) -> None:
    def check(name: str) -> None:
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert digest_file(folder / name).read_text() == f"{digest}  {name}\n"

    check("previous.ckpt")
    (folder / "last.ckpt").write_bytes(b"")
    restore_last(folder)
    check("last.ckpt")


def test_no_flipped_bit_is_loaded(folder: Path) -> None:
    path = folder / "last.ckpt"
    content = bytearray(path.read_bytes())
    for place in range(0, len(content), 97):
        content[place] ^= 4
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged"):
            read_checkpoint(path)
        content[place] ^= 4


def test_both_damaged_or_none(folder: Path, tmp_path: Path) -> None:
    for name in ("last.ckpt", "previous.ckpt"):
        (folder / name).write_bytes(b"")
    with pytest.raises(InputError, match=r"last\.ckpt: is damaged.*previous\.ckpt: is damaged.*train anew"):
        restore_last(folder)
    with pytest.raises(InputError, match="holds no last"):
        restore_last(tmp_path / "empty")


def test_a_full_disk_is_said_and_leaves_the_old_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device, writing [\d,]+ bytes") as caught:
        io.save_checkpoint(state(3), folder / "last.ckpt")
    assert caught.value.filename.startswith(str(folder / "last.ckpt"))
    monkeypatch.undo()
    restore_last(folder)
    assert value(folder / "last.ckpt") == 2


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, ("exploded",)


def test_nothing_in_a_checkpoint_is_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Bomb()}, tmp_path / "bomb.ckpt")
    with pytest.raises(InputError, match="more than weights"):
        io.load_checkpoint(tmp_path / "bomb.ckpt", weights_only=False)
    assert not (tmp_path / "exploded").exists()


def test_an_address_is_no_checkpoint() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        io.load_checkpoint("http://localhost:9/last.ckpt")


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_an_interval_that_is_none_is_refused(minutes: float) -> None:
    with pytest.raises(InputError, match="--checkpoint_minutes"):
        LastCheckpoint(minutes, StopSignals())
