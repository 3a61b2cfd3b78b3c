"""Callbacks of training: averaged weights, a stop at a non-finite loss, times and a line for each epoch."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fmnist.core.errors import InputError


class EMA(WeightAveraging):
    """Exponential moving average of weights and buffers; validation uses it, and checkpoints hold it.

    Args:
        decay: Factor of the old average at each optimiser step.
        every: Number of steps between two updates, each with ``decay ** every``; cheaper and nearly the same.
    """

    def __init__(self, decay: float, every: int = 4) -> None:
        if not 0 < decay < 1:
            raise InputError(f"--ema {decay}: must lie between 0 and 1, or be null for none")
        super().__init__(use_buffers=True, multi_avg_fn=get_ema_multi_avg_fn(decay**every))
        self.every = every

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            pl_module.to(trainer.strategy.root_device)  # the average is kept where the module is now
        super().setup(trainer, pl_module, stage)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        return step_idx is not None and (step_idx + 1) % self.every == 0

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._average_model = None  # private, but a later ``validate`` would use it instead of the weights


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
        epochs: Number of finished epochs.
        seconds: Of training up to the end of the last epoch, validation and, of a resumed run, the time
            before the stop included.
    """

    seconds = 0.0
    epochs = 0
    _start: float | None = None

    def state_dict(self) -> dict[str, Any]:
        seconds = self.seconds if self._start is None else time.perf_counter() - self._start
        return {"epochs": self.epochs, "seconds": seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs, self.seconds = state_dict["epochs"], state_dict["seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._step = trainer.global_step
        self._begin_epoch()  # a resumed run may start within an epoch
        self._start = self._epoch_start - self.seconds

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._epoch_start, self._images = time.perf_counter(), 0
        self._last_batch: float | None = None

    def on_train_batch_end(
        self, trainer: Any, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._images += len(batch[0]) * trainer.world_size
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
            "images_per_second": self._images / (end - self._epoch_start),
            "seconds": self.seconds,
        }
        pl_module.log_dict(values, rank_zero_only=True)


class EpochLines(Callback):
    """Prints one line an epoch, above the progress bar if there is one."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._print(trainer)

    def _print(self, trainer: Trainer) -> None:
        metrics = trainer.callback_metrics
        if not trainer.is_global_zero or "train/loss" not in metrics:
            return
        parts = [f"epoch {trainer.current_epoch:3d}/{trainer.max_epochs}"]
        for stage in ("train", "val"):
            if f"{stage}/loss" in metrics:
                loss, accuracy = metrics[f"{stage}/loss"], metrics[f"{stage}/accuracy"]
                parts.append(f"{stage} loss {loss:.4f} accuracy {accuracy:.4f}")
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
