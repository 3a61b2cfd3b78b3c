"""Checkpoints that are whole whatever happens while they are written, and the keeping of the last one."""

import hashlib
import io
import os
import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from fmnist.core.errors import InputError
from fmnist.models.loading import DIGEST_MARK, digest_file, read_checkpoint
from fmnist.training.callbacks import due_learning_rate
from fmnist.training.signals import StopConsensus, StopSignals

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
_UNFINISHED = ".unfinished"


class AtomicCheckpointIO(CheckpointIO):
    """Writes a checkpoint beside its place and moves it there, with its SHA-256; reads only what is safe."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        torch.save({**checkpoint, DIGEST_MARK: True}, buffer)
        content = buffer.getbuffer()
        line = f"{hashlib.sha256(content).hexdigest()}  {path.name}\n"
        beside = digest_file(path)
        before = beside.read_text().splitlines(keepends=True)[:1] if beside.exists() else []
        # until the new one is in its place, the digest of the old one must stay
        write_whole(beside, "".join([line, *before]).encode())
        write_whole(path, content)
        write_whole(beside, line.encode())

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        for file in (Path(path), digest_file(Path(path))):
            file.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Put a file in the place of another, as one step that survives a loss of power.

    Raises:
        OSError: The disk is full or not writable; the old file stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_UNFINISHED}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, f"{error.strerror}, writing {len(content):,} bytes", str(path)) from None
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def keep_previous(folder: Path) -> None:
    """Let ``previous.ckpt`` be what ``last.ckpt`` is; that one stays in its place."""
    if (folder / LAST).exists():
        _copy(folder / LAST, folder / PREVIOUS)


def _copy(source: Path, target: Path) -> None:
    write_whole(target, source.read_bytes())
    if digest_file(source).exists():
        line = digest_file(source).read_text().replace(source.name, target.name)
        write_whole(digest_file(target), line.encode())
    else:
        digest_file(target).unlink(missing_ok=True)


def restore_last(folder: Path) -> None:
    """Make ``last.ckpt`` one to go on from, and remove what an interrupted writing left.

    A damaged one is said, and ``previous.ckpt`` put in its place. Of several processes only the main one
    may call this, before they meet; from then on all of them load the same file.

    Args:
        folder: A run's ``checkpoints/``.

    Raises:
        InputError: There is none, or both are damaged.
    """
    for leftover in folder.glob(f".*{_UNFINISHED}"):
        leftover.unlink(missing_ok=True)
    candidates = [folder / name for name in (LAST, PREVIOUS) if (folder / name).exists()]
    if not candidates:
        raise InputError(f"{folder}: holds no {LAST}, the run was stopped before its first; train anew")
    reasons = []
    for path in candidates:
        try:
            read_checkpoint(path)
        except InputError as error:
            reasons.append(str(error))
            continue
        for reason in reasons:
            print(f"warning: {reason}; going on from {path.name}, the one before")
        if path.name == PREVIOUS:
            _copy(path, folder / LAST)
        return
    raise InputError(f"{'; '.join(reasons)}; train anew")


class LastCheckpoint(Checkpoint):
    """Keeps ``last.ckpt``: after each epoch, every few minutes, and when the run is asked to stop.

    A stop comes at the end of a step, once the checkpoint is written; within a validation it comes
    at once and without, as the epoch's beginning, or what was kept of it, is where an exact one lies.

    Args:
        minutes: Between two checkpoints, at most.
        stops: Tells of signals to stop.

    Attributes:
        folder: Of the checkpoints; ``None`` keeps none.
        state: Saved with the checkpoint, for the loggers of a resumed run: from which ``step`` on they
            must forget what they hold, and the ``metrics`` and ``learning_rate`` that belong there.
    """

    def __init__(self, minutes: float, stops: StopSignals) -> None:
        if not minutes > 0:
            raise InputError(f"--checkpoint_minutes {minutes}: must be above 0")
        self.minutes, self.stops = minutes, stops
        self.folder: Path | None = None
        self._consensus = StopConsensus()
        self._validated = -1
        self._saved = time.monotonic()
        self.state: dict[str, Any] = {}

    def setup(self, trainer: Any, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            self.folder = None if trainer.fast_dev_run else Path(trainer.log_dir) / "checkpoints"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._saved = time.monotonic()
        self.stops.defer_signals()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._consensus = StopConsensus()  # validation's counts batches, which are quicker

    def on_train_batch_end(
        self, trainer: Any, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        whole = (batch_idx + 1) % trainer.accumulate_grad_batches == 0  # or gradients would be lost
        if whole and not trainer.is_last_batch and (request := self._request(trainer)):
            self._save(trainer, {"step": trainer.global_step, "metrics": {}, "learning_rate": {}})
            self._stop(trainer, request)

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._stop(trainer, self._request(trainer))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = trainer.current_epoch
        self._consensus = StopConsensus()  # validation may lie within an epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        validated = self._validated == trainer.current_epoch
        metrics = {
            name: float(value)
            for name, value in trainer.callback_metrics.items()
            if validated or not name.startswith("val/")
        }
        metrics["epoch"] = trainer.current_epoch
        # Lightning logs them a moment after this, at the number of the last step counted from 0
        self._save(
            trainer,
            {
                "step": trainer.global_step - 1,
                "metrics": metrics,
                "learning_rate": due_learning_rate(trainer),
            },
        )
        self._stop(trainer, self._request(trainer, now=True))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.stops.raise_signals()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stops.raise_signals()
        self._stop(trainer, self._request(trainer, now=True))

    def state_dict(self) -> dict[str, Any]:
        return self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.state = state_dict

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Stay stopped where training stopped early; find the best checkpoint in a folder that was moved."""
        trainer.should_stop = checkpoint["callbacks"]["LastCheckpoint"].get("should_stop", False)
        for name, state in checkpoint["callbacks"].items():
            if name.startswith("ModelCheckpoint") and self.folder is not None:
                best = state["best_model_path"] and str(self.folder / Path(state["best_model_path"]).name)
                state |= {"dirpath": str(self.folder), "best_model_path": best}

    def _request(self, trainer: Trainer, now: bool = False) -> int:
        """Return what any process wants: nothing, 0; a checkpoint, 1; a stop, the number of its signal."""
        request = self.stops.received or int(time.monotonic() - self._saved > 60 * self.minutes)
        return self._consensus.largest(request, trainer, now)

    def _save(self, trainer: Trainer, state: dict[str, Any]) -> None:
        if self.folder is not None:
            self.state = {**state, "should_stop": trainer.should_stop}
            if trainer.is_global_zero:
                keep_previous(self.folder)
            trainer.save_checkpoint(self.folder / LAST)
            self._saved = time.monotonic()

    def _stop(self, trainer: Trainer, request: int) -> None:
        if request > 1:
            self.stops.ask_for_requeue(request)
            trainer.strategy.barrier()  # the first to end may have the others ended, whatever they do
            self.stops.stop(request)
