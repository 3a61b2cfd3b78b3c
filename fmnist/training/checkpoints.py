"""Checkpoints: written atomically; ``last.ckpt`` and the one before it are kept."""

import io
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping, ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn

from fmnist.core.errors import InputError, quoted
from fmnist.core.files import TEMPORARY_FILES, link_or_copy, replacing, write_file
from fmnist.models.loading import read_checkpoint
from fmnist.training.callbacks import Ending, can_go_on_from, due_learning_rate, stopped_by
from fmnist.training.signals import StopConsensus, StopSignals

BEST, LAST, PREVIOUS = "best.ckpt", "last.ckpt", "previous.ckpt"
BEST_BEFORE_END = "best_before_end.ckpt"
DECISIONS = ("early_stopping", "callback")  # ends that no limit would bring about again


def _moved(value: Any, old: str, new: str) -> Any:
    """Return a callback's state with paths below one folder as paths below another."""
    if isinstance(value, dict):
        return {_moved(key, old, new): _moved(item, old, new) for key, item in value.items()}
    if isinstance(value, str) and (value == old or value.startswith(old + os.sep)):
        return new + value[len(old) :]
    return value


class AtomicCheckpointIO(CheckpointIO):
    """Replaces a checkpoint in one step, and loads only tensors and plain values that are undamaged."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_file(Path(path), buffer.getbuffer())

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        return read_checkpoint(Path(path))

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        Path(path).unlink(missing_ok=True)


def keep(folder: Path, name: str, other: str) -> None:
    """Make ``other`` another name of the checkpoint ``name``, if there is one, until that is replaced."""
    if not (folder / name).exists():
        return
    with replacing(folder / other) as temporary:
        link_or_copy(folder / name, temporary)


def restore_last(folder: Path, end_moved: bool = False) -> None:
    """Make sure that ``last.ckpt`` in ``checkpoints/`` can be loaded, and remove unfinished files.

    If it is damaged, a warning is printed and ``previous.ckpt`` takes its place. It does so without a warning
    if training ended within an epoch and goes on beyond that (``end_moved``): then ``last.ckpt`` was written
    after the validation of that end, and ``previous.ckpt`` before it. A training that ended early and goes on
    beyond that is no longer marked as stopped. Of several processes only the main one may call this, before
    their first barrier; after it all of them load the same file.

    Raises:
        InputError: There is none that can be read.
    """
    for leftover in folder.glob(TEMPORARY_FILES):
        leftover.unlink(missing_ok=True)
    checkpoints: dict[str, dict[str, Any]] = {}
    damages = []
    for name in (LAST, PREVIOUS):
        if (folder / name).exists():
            try:
                checkpoints[name] = read_checkpoint(folder / name)
            except InputError as error:
                damages.append(str(error))
        if name in checkpoints:
            end = _state_of(checkpoints[name]).get("ended_within_epoch_by")
            if not (end == "max_time" or (end and end_moved)):
                break
    if not checkpoints:
        none = f"{quoted(folder)}: holds no {LAST}, the run was stopped before its first"
        raise InputError(f"{'; '.join(damages) or none}; train anew")
    name, checkpoint = checkpoints.popitem()
    for damage in damages:
        print(f"warning: {damage}; continuing from {name}", file=sys.stderr)
    if name == PREVIOUS:
        write_file(folder / LAST, (folder / name).read_bytes())  # a copy: damage to one spares the other
    state = _state_of(checkpoint)
    if end_moved and state.get("ended_by") in DECISIONS:  # kept, it would end whatever is resumed later
        state["ended_by"] = None
        AtomicCheckpointIO().save_checkpoint(checkpoint, folder / LAST)
    # also where training was killed between that copy and the checkpoint of its end
    if (name == PREVIOUS or not state.get("ended_within_epoch_by")) and (folder / BEST_BEFORE_END).exists():
        os.replace(folder / BEST_BEFORE_END, folder / BEST)


def _state_of(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return what ``LastCheckpoint`` keeps in a checkpoint."""
    state: dict[str, Any] = checkpoint.get("callbacks", {}).get("LastCheckpoint", {})
    return state


class BestCheckpoint(ModelCheckpoint):
    """Keeps ``best.ckpt``, of the epoch with the highest ``monitor``; ``None`` keeps the last one.

    It is a class of its own, so that its state is not taken for that of a user's callback.
    """

    def __init__(self, monitor: str | None) -> None:
        more: dict[str, Any] = {"monitor": monitor, "mode": "max"} if monitor else {}
        super().__init__(filename="best", auto_insert_metric_name=False, enable_version_counter=False, **more)


class LastCheckpoint(Checkpoint):
    """Keeps ``last.ckpt``: after each epoch, every few minutes, and when the run is asked to stop.

    Training stops at the end of a step, after the checkpoint is written. A validation stops at once and
    without a checkpoint, because a run can only be resumed exactly from between two training steps. If
    training ends within an epoch, ``previous.ckpt`` and ``best_before_end.ckpt`` are of before the validation
    of that end, so that the run can go on as if it had not ended there.

    Args:
        minutes: The longest time between two checkpoints.
        stops: Knows whether the run is asked to stop.
        ending: Knows what ends training.

    Attributes:
        folder: Of the checkpoints; ``None`` keeps none.
        state: Saved with the checkpoint, for the loggers of a resumed run: the ``step`` from which on they
            must discard what they hold, and the ``metrics`` and ``learning_rate`` that belong there.
    """

    def __init__(self, minutes: float, stops: StopSignals, ending: Ending) -> None:
        if not minutes > 0:
            raise InputError(f"--checkpoint_minutes {minutes}: must be above 0")
        self.minutes, self.stops, self.ending = minutes, stops, ending
        self._ended_within_epoch_by: str | None = None
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
        self._consensus = StopConsensus()  # the one of validation is timed by its batches, which are faster

    def on_train_batch_end(
        self, trainer: Any, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.ending.ended_by is not None:
            if trainer.is_last_batch:
                return
            self._save(trainer, {}, PREVIOUS)
            if self.folder is not None and trainer.is_global_zero:
                keep(self.folder, BEST, BEST_BEFORE_END)
            self._ended_within_epoch_by = self.ending.ended_by
        elif can_go_on_from(trainer, batch_idx) and (request := self._request(trainer)):
            self._save(trainer, {})
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
        self._save(trainer, metrics)  # Lightning logs them right after this
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
        self, trainer: Any, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Stay stopped where training stopped early; find the checkpoints of a run folder that was moved."""
        states = checkpoint["callbacks"]
        self.ending.ended_by = _state_of(checkpoint).get("ended_by")
        trainer.should_stop = self.ending.ended_by in DECISIONS
        states.pop("Timer", None)  # a resumed run has as long again
        for callback in trainer.callbacks:  # the patience of now, not of then
            if isinstance(callback, EarlyStopping) and callback.state_key in states:
                states[callback.state_key]["patience"] = callback.patience
        for best in trainer.checkpoint_callbacks:
            if isinstance(best, BestCheckpoint) and self.folder is not None:
                old, new = str(states.get(best.state_key, {}).get("dirpath")), str(self.folder)
                for name, state in states.items():
                    if isinstance(state, dict) and state.get("dirpath") == old:
                        states[name] = _moved(state, old, new)

    def _request(self, trainer: Trainer, now: bool = False) -> int:
        """Return the largest request of any process: 0, 1 for a checkpoint, or 1 + a signal's number."""
        received = self.stops.received
        request = 1 + received if received else int(time.monotonic() - self._saved > 60 * self.minutes)
        return self._consensus.largest(request, trainer, now)

    def _save(self, trainer: Trainer, metrics: dict[str, Any], name: str = LAST) -> None:
        if self.folder is None:
            return
        ended_by = self.ending.ended_by or (stopped_by(trainer) if trainer.should_stop else None)
        self.state = {
            "step": trainer.global_step - 1,  # of the last step, counted from 0
            "metrics": metrics,
            "learning_rate": due_learning_rate(trainer),
            "ended_by": ended_by,
            "ended_within_epoch_by": self._ended_within_epoch_by,
        }
        if trainer.is_global_zero and name == LAST and self._ended_within_epoch_by is None:
            keep(self.folder, LAST, PREVIOUS)
        trainer.save_checkpoint(self.folder / name)
        self._saved = time.monotonic()

    def _stop(self, trainer: Trainer, request: int) -> None:
        if request > 1:
            number = request - 1
            self.stops.ask_for_requeue(number)
            trainer.strategy.barrier()  # the first process that ends may make the launcher end the others
            self.stops.stop(number)
