"""The one LightningModule: loss, metrics, optimiser and schedule of every network."""

from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MetricCollection
from torchmetrics.utilities.distributed import gather_all_tensors

from fmnist.core.errors import InputError
from fmnist.models.metrics import Rows, classification_metrics
from fmnist.models.optimization import OptimizerName, ScheduleName, build_optimizer, schedule_factor

Stage = Literal["train", "val", "test"]
Batch = tuple[Tensor, Tensor, Tensor]
"""Images float32 (N, 1, 28, 28); labels int64 (N,) or class shares (N, 10); indices int64 (N,)."""
Outputs = tuple[Tensor, Tensor, Tensor]
"""Logits float32 (N, 10), labels int64 (N,), indices int64 (N,) into the source file."""


class Classifier(LightningModule):
    """Trains a network with cross entropy; a subclass only builds the network.

    Args:
        network: Maps images, float32 (N, 1, 28, 28) in [0, 1], to logits (N, 10).
        optimizer: ``adam``, ``adamw``, ``sgd`` (Nesterov) or ``muon`` (matrices by Muon, the rest by AdamW).
        learning_rate: Peak learning rate; with muon, of the matrices.
        adam_learning_rate: Peak learning rate of what muon leaves to AdamW.
        weight_decay: Decoupled for adamw and muon, an L2 penalty for adam and sgd; biases and
            normalisation are exempt, and with muon the head.
        momentum: Of sgd and of muon's matrices; first beta of adam and adamw.
        schedule: Course of the learning rate, by step: ``constant``, ``linear`` or ``cosine`` to zero,
            ``onecycle``.
        warmup: Share of the steps that the learning rate takes to rise to its peak.
        label_smoothing: Share of the target spread over all classes (Szegedy et al. 2016, section 7).
        flip_average: Average the logits of each image and its mirror image in validation and test.
        compile: Compile the network with ``torch.compile``; needs a C++ compiler on CPU.

    Attributes:
        results: For each stage, the last epoch's ``loss`` and ``classification_metrics``.
        predictions: For ``val`` and ``test``, the last epoch's, gathered from all processes and sorted
            by index.

    Raises:
        InputError: A value lies outside its range.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerName = "adamw",
        learning_rate: float = 1e-3,
        adam_learning_rate: float = 2e-3,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        schedule: ScheduleName = "cosine",
        warmup: float = 0.1,
        label_smoothing: float = 0.0,
        flip_average: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__()
        _check_range("learning_rate", learning_rate, 0, 100, above=True)
        _check_range("adam_learning_rate", adam_learning_rate, 0, 100, above=True)
        _check_range("weight_decay", weight_decay, 0, 100)
        _check_range("momentum", momentum, 0, 0.9999)
        _check_range("warmup", warmup, 0, 1)
        _check_range("label_smoothing", label_smoothing, 0, 0.9999)
        self.save_hyperparameters(ignore=["network"])
        # convolutions are faster with the channels innermost, on CPU and on GPU
        self.network = network.to(memory_format=torch.channels_last)
        evaluation = classification_metrics()
        training = MetricCollection({"accuracy": evaluation["accuracy"].clone()})
        self.metrics = nn.ModuleDict({"train_": training, "val_": evaluation, "test_": evaluation.clone()})
        self.results: dict[str, dict[str, Tensor]] = {}
        self.predictions: dict[str, Outputs] = {}
        self._seed = 0
        self._rows: dict[str, Rows] = {"train": Rows(), "val": Rows(), "test": Rows()}

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":  # Lightning's note of the hook, some 50 times a step: no need to
            object.__setattr__(self, name, value)  # look for it among parameters and modules
        else:
            super().__setattr__(name, value)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, 10) of images, float32 (N, 1, 28, 28) in [0, 1]."""
        return self.network(images)

    def score(self, images: Tensor) -> Tensor:
        """Return the logits that validation and test go by: with ``flip_average``, of both directions."""
        logits = self(images).float()
        if self.hparams["flip_average"]:
            logits = (logits + self(images.flip(-1)).float()) / 2
        return logits

    def on_fit_start(self) -> None:
        self._seed = torch.initial_seed()
        if self.hparams["compile"]:
            self.network.compile()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels, indices = batch
        logits = self(images).float()
        classes = labels.argmax(1) if labels.ndim == 2 else labels  # a mixed image counts as its larger part
        self._rows["train"].append(logits.detach(), classes, indices)
        return F.cross_entropy(logits, labels, label_smoothing=self.hparams["label_smoothing"])

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make what a step draws, as dropout does, a pure function of seed, step and process."""
        seed = (self._seed * 1_000_003 + self.trainer.fit_loop.total_batch_idx) * 8_191 + self.global_rank
        generator = (
            torch.cuda.default_generators[self.device.index] if self.on_gpu else torch.default_generator
        )
        generator.manual_seed(seed % 2**63)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("test", batch)

    def _evaluate(self, stage: Stage, batch: Batch) -> None:
        images, labels, indices = batch
        self._rows[stage].append(self.score(images), labels, indices)

    def on_train_epoch_start(self) -> None:
        self._rows["train"].clear()

    def on_validation_epoch_start(self) -> None:
        self._rows["val"].clear()

    def on_test_epoch_start(self) -> None:
        self._rows["test"].clear()

    def on_train_epoch_end(self) -> None:
        self._summarise("train")

    def on_validation_epoch_end(self) -> None:
        self._summarise("val")

    def on_test_epoch_end(self) -> None:
        self._summarise("test")

    def _summarise(self, stage: Stage) -> None:
        """Compute the metrics of an epoch from all its logits, and log the scalar ones as ``stage/name``."""
        if not self._rows[stage]:
            return
        logits, labels, indices = map(self._gather, self._rows[stage].columns())
        self._rows[stage].clear()
        metrics: Any = self.metrics[f"{stage}_"]
        metrics.update(logits, labels)
        # plain cross entropy in every stage, so that training and validation can be compared
        self.results[stage] = {"loss": F.cross_entropy(logits, labels), **metrics.compute()}
        metrics.reset()
        scalars = {f"{stage}/{name}": value for name, value in self.results[stage].items() if not value.ndim}
        self.log_dict(scalars)
        if stage != "train":
            order = indices.argsort()
            self.predictions[stage] = logits[order], labels[order], indices[order]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what has been scored of an unfinished epoch, by all processes.

        Raises:
            InputError: The weights are not finite, so they are not worth keeping.
        """
        kept = ("state_dict", "current_model_state", "optimizer_states")  # the second beside averaged weights
        if not all(_is_finite(checkpoint.get(name)) for name in kept):
            raise InputError(
                f"the weights are not finite after step {self.trainer.global_step}: try a "
                f"--model.learning_rate below {self.hparams['learning_rate']:g}"
            )
        if self.trainer.training and len(self._rows["train"]):
            columns = self._rows["train"].columns()
            checkpoint["train_rows"] = [self._gather(column).clone() for column in columns]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "train_rows" in checkpoint and self._trainer is not None:
            shares = [column.tensor_split(self.trainer.world_size) for column in checkpoint["train_rows"]]
            self._rows["train"].append(*(share[self.global_rank] for share in shares))

    def _gather(self, values: Tensor) -> Tensor:
        """Concatenate the rows (n, ...) of all processes, which may hold different numbers of them."""
        return torch.cat(gather_all_tensors(values)) if self.trainer.world_size > 1 else values

    def configure_optimizers(self) -> Any:
        hparams = self.hparams
        optimizer = build_optimizer(
            self.network,
            hparams["optimizer"],
            hparams["learning_rate"],
            hparams["weight_decay"],
            hparams["momentum"],
            hparams["adam_learning_rate"],
            fused=not self.trainer.gradient_clip_val,
        )
        steps = self._total_steps()
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: schedule_factor(hparams["schedule"], step / steps, hparams["warmup"])
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _total_steps(self) -> int:
        """Return the optimiser steps of the whole run.

        Not ``trainer.estimated_stepping_batches``, which sets the loaders up a second time.
        """
        trainer: Any = self.trainer
        if trainer.max_epochs in (None, -1, 0):
            if trainer.max_steps > 0:
                return trainer.max_steps
            raise InputError(
                "--trainer.max_epochs: must be set (or --trainer.max_steps), the schedule needs an end"
            )
        batches = len(trainer.datamodule.train_dataloader())
        limit = trainer.limit_train_batches
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
        steps = max(1, trainer.max_epochs * -(-batches // trainer.accumulate_grad_batches))
        return min(steps, trainer.max_steps) if trainer.max_steps > 0 else steps


def _is_finite(values: Any) -> bool:
    """Tell whether a nesting of tensors holds neither NaN nor infinity."""
    if isinstance(values, Tensor):
        return bool(values.isfinite().all())
    parts = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    return all(map(_is_finite, parts))


def _check_range(name: str, value: float, low: float, high: float, above: bool = False) -> None:
    if not low <= value <= high or (above and value == low):
        allowed = f"be above {low} and at most {high}" if above else f"lie between {low} and {high}"
        raise InputError(f"--model.{name} {value}: must {allowed}")
