"""Callbacks of training: averaged weights, how it ends, times and a line for each epoch."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, Timer, WeightAveraging
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from torch import Tensor

from fmnist.core.errors import InputError

EMA_STEPS_ONE_BY_ONE = 40  # so that a training of few steps is averaged, too


class EMA(WeightAveraging):
    """Exponential moving average of weights and buffers; validation uses it, and checkpoints hold it.

    After t steps the decay is at most (1 + t) / (10 + t), as in TensorFlow's ``ExponentialMovingAverage``:
    otherwise the first, untrained weights would dominate the average of a short training.

    Args:
        decay: Factor of the old average at each optimiser step.
        every: Number of steps between two updates, each with ``decay ** every``; cheaper and nearly the same.
            The first ``EMA_STEPS_ONE_BY_ONE`` are averaged one by one.
    """

    def __init__(self, decay: float, every: int = 4) -> None:
        if not 0 < decay < 1:
            raise InputError(f"--ema {decay}: must lie between 0 and 1, or be null for none")
        super().__init__(use_buffers=True, avg_fn=self._average)
        self.decay, self.every = decay, every

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            # the average is kept where the module is now, and in its type: float32 or float64, because the
            # small updates would be lost in 16 bits
            pl_module.to(trainer.strategy.root_device)
            if trainer.precision == "64-true":
                pl_module.double()
        super().setup(trainer, pl_module, stage)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        if step_idx is None:
            return False
        one_by_one = step_idx < EMA_STEPS_ONE_BY_ONE
        decay = min(self.decay, (1 + step_idx) / (10 + step_idx))
        self._weight = 1 - decay ** (1 if one_by_one else self.every)
        return one_by_one or (step_idx + 1) % self.every == 0

    def _average(self, average: Tensor, current: Tensor, _: Tensor) -> Tensor:
        if not average.is_floating_point():  # the number of batches seen
            return current
        return average.lerp(current.to(average.dtype), self._weight)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._average_model = None  # private, but a later ``validate`` would use it instead of the weights


class Ending(Callback):
    """Finds out what ends training, and has Lightning validate its last steps.

    Attributes:
        ended_by: What has ended training, perhaps before it was resumed: ``max_epochs``, ``max_steps``,
            ``fast_dev_run``, ``max_time``, ``early_stopping`` or ``callback``; ``None`` before the end.
    """

    ended_by: str | None = None
    _postponed = False
    _max_steps: int | None = None

    def on_load_checkpoint(
        self, trainer: Any, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if checkpoint["global_step"] < trainer.max_steps:
            # with a limit Lightning takes every checkpoint for one from within an epoch
            self._max_steps, trainer.fit_loop.epoch_loop.max_steps = trainer.max_steps, -1

    def on_train_start(self, trainer: Any, pl_module: LightningModule) -> None:
        self.ended_by = None
        if self._max_steps is not None:
            trainer.fit_loop.epoch_loop.max_steps = self._max_steps

    def on_train_batch_end(
        self, trainer: Any, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        last = trainer.is_last_batch
        if trainer.global_step == trainer.max_steps:
            self.ended_by = "fast_dev_run" if trainer.fast_dev_run else "max_steps"
        elif last and trainer.current_epoch + 1 == trainer.max_epochs:
            self.ended_by = "max_epochs"
        elif (trainer.should_stop or self._postponed) and _may_stop(trainer):
            # the run can go on exactly from within an epoch, or from an end where it is validated anyway
            exact = validation_follows(trainer, batch_idx) or not trainer.enable_validation
            self._postponed = not (exact if last else can_go_on_from(trainer, batch_idx))
            trainer.should_stop = not self._postponed
            if trainer.should_stop:
                self.ended_by = stopped_by(trainer)
        if self.ended_by is not None:
            trainer.should_stop = True  # validates, even within an epoch
            if trainer.check_val_every_n_epoch is not None:
                trainer.check_val_every_n_epoch = 1

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.ended_by = self.ended_by or stopped_by(trainer)


def stopped_by(trainer: Any) -> str:
    """Return which kind of callback has set ``trainer.should_stop``."""
    for callback in trainer.callbacks:
        if isinstance(callback, Timer):
            remaining = callback.time_remaining()
            if remaining is not None and remaining <= 0:
                return "max_time"
        if (
            isinstance(callback, EarlyStopping)
            and callback.stopping_reason != EarlyStoppingReason.NOT_STOPPED
        ):
            return "early_stopping"
    return "callback"


def _may_stop(trainer: Any) -> bool:
    """Return whether a training has the epochs and steps that it must have at least."""
    epochs = trainer.current_epoch + trainer.is_last_batch
    return epochs >= (trainer.min_epochs or 0) and trainer.global_step >= (trainer.min_steps or 0)


def can_go_on_from(trainer: Any, batch_idx: int) -> bool:
    """Return whether training can go on exactly from after this batch of an unfinished epoch.

    Between two optimiser steps gradients would be lost, and Lightning would leave out the validation.
    """
    whole = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
    return whole and not trainer.is_last_batch and not validation_follows(trainer, batch_idx)


def validation_follows(trainer: Any, batch_idx: int) -> bool:
    """Return whether this batch is followed by a validation even if training goes on."""
    every, interval = trainer.check_val_every_n_epoch, trainer.val_check_batch
    if not trainer.enable_validation or interval is None or (every and (trainer.current_epoch + 1) % every):
        return False
    number = trainer.fit_loop.total_batch_idx if every is None else batch_idx
    return (number + 1) % interval == 0


class StopAtNonFiniteLoss(Callback):
    """Raises an error at the step whose loss is NaN or infinite, before the next checkpoint.

    On a GPU the loss is copied to the host during the backward pass, so that the device never waits.

    Raises:
        InputError: The loss is not finite.
    """

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self._loss = loss.detach()
        self._fetched: torch.cuda.Event | None = None
        if loss.is_cuda:
            self._loss = torch.empty_like(self._loss, device="cpu", pin_memory=True)
            self._loss.copy_(loss.detach(), non_blocking=True)
            self._fetched = torch.cuda.Event()
            self._fetched.record()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self._fetched is not None:
            self._fetched.synchronize()
        if not torch.isfinite(self._loss):
            raise InputError(
                f"the loss was {self._loss.item()} at step {trainer.global_step}: try a "
                f"--model.learning_rate below {pl_module.hparams['learning_rate']:g}, "
                "or --trainer.precision 32-true"
            )


class EpochClock(Callback):
    """Logs seconds of training, images per second and the learning rate once an epoch.

    The learning rate is also logged every ``log_every_n_steps``.

    Attributes:
        epochs: Number of epochs, the last one perhaps unfinished.
        images: Number of training images so far, counted each time that they are used.
        seconds: Of training up to the end of the last epoch, validation and, of a resumed run, the time
            before the stop included.
    """

    seconds = 0.0
    epochs = images = 0
    _start: float | None = None

    def state_dict(self) -> dict[str, Any]:
        seconds = self.seconds if self._start is None else time.perf_counter() - self._start
        return {"epochs": self.epochs, "images": self.images, "seconds": seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs, self.images = state_dict["epochs"], state_dict["images"]
        self.seconds = state_dict["seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step = trainer.global_step
        self._begin_epoch()  # a resumed run may start within an epoch
        self._start = self._epoch_start - self.seconds

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._epoch_start, self._images_before = time.perf_counter(), self.images
        self._last_batch: float | None = None

    def on_train_batch_end(
        self, trainer: Any, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.images += len(batch[0]) * trainer.world_size
        if trainer.is_last_batch:
            self._last_batch = time.perf_counter()
        if trainer.global_step != self._step and (learning_rate := due_learning_rate(trainer)):
            # at the number of the step counted from 0, as Lightning's own metrics
            for logger in trainer.loggers:
                logger.log_metrics(learning_rate, trainer.global_step - 1)
        self._step = trainer.global_step  # stays while gradients are accumulated

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert self._start is not None
        now = time.perf_counter()
        self.epochs, self.seconds = trainer.current_epoch + 1, now - self._start
        end = self._last_batch or now  # ``max_steps`` may end an epoch before its last batch
        values = {
            "learning_rate": _learning_rate(trainer),
            "images_per_second": (self.images - self._images_before) / (end - self._epoch_start),
            "seconds": self.seconds,
        }
        pl_module.log_dict(values, rank_zero_only=True)


class EpochLines(Callback):
    """Prints one line an epoch, above the progress bar if there is one; each figure is of that epoch."""

    _validated: int | None = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = None if trainer.sanity_checking else trainer.current_epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print(trainer)

    def _print(self, trainer: Trainer) -> None:
        metrics = trainer.callback_metrics
        if not trainer.is_global_zero or "train/loss" not in metrics:
            return
        of = "" if trainer.max_epochs == -1 else f"/{trainer.max_epochs}"
        parts = [f"epoch {trainer.current_epoch:3d}{of}"]
        validated = self._validated == trainer.current_epoch - 1
        for stage in ("train", "val") if validated and "val/loss" in metrics else ("train",):
            loss, accuracy = metrics[f"{stage}/loss"], metrics[f"{stage}/accuracy"]
            parts.append(f"{stage} loss {loss:.4f} accuracy {accuracy:.4f}")
        if validated and "val/photographs" in metrics:
            parts.append(f"photographs {metrics['val/photographs']:.4f}")
        parts.append(f"{metrics['images_per_second']:,.0f} images/s")
        parts.append(f"{metrics['seconds']:.0f} s")
        bar = trainer.progress_bar_callback
        (bar.print if bar else print)("   ".join(parts))


def due_learning_rate(trainer: Any) -> dict[str, float]:
    """Return the learning rate by its logged name if it is due after this step, else nothing."""
    due = trainer.loggers and trainer.global_step % trainer.log_every_n_steps == 0
    return {"step/learning_rate": _learning_rate(trainer)} if due else {}


def _learning_rate(trainer: Trainer) -> float:
    return trainer.optimizers[0].param_groups[0]["lr"]
