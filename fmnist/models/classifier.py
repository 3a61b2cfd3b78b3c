"""The LightningModule of every network: loss, metrics, optimiser and learning-rate schedule."""

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MetricCollection
from torchmetrics.utilities.distributed import gather_all_tensors

from fmnist.core.errors import InputError
from fmnist.core.metrics import logged_metrics
from fmnist.core.statistics import scores_fault
from fmnist.models.distillation import Teachers
from fmnist.models.layers import at_least_float32, evaluation_logits, memory_format
from fmnist.models.metrics import EpochBuffer, classification_metrics
from fmnist.models.optimization import OptimizerName, ScheduleName, build_optimizer, schedule_factor

Stage = Literal["train", "val", "test", "photographs"]
Batch = Sequence[Tensor]
"""Images float32 (N, 1, 28, 28) in [0, 1]; labels int64 (N,), or targets (N, 10), see ``fixed_targets``; and,
optionally, the images' indices int64 (N,), and in training the classes int64 (n,) of the first images, which
alone count for the training accuracy."""
Outputs = tuple[Tensor, Tensor, Tensor]
"""Logits float32 (N, 10), labels int64 (N,) or targets (N, 10), indices int64 (N,)."""


class Classifier(LightningModule):
    """Trains a network with cross entropy; a subclass only builds the network.

    Any ``Trainer`` and any loader of ``(images, labels)`` or ``(images, labels, indices)`` will do.
    Without indices the images of an epoch are numbered in the order in which they come.

    Args:
        network: Maps images, float32 (N, 1, 28, 28) in [0, 1], to logits (N, 10).
        optimizer: ``adam``, ``adamw``, ``sgd`` (Nesterov) or ``muon`` (Muon for matrices and convolutions,
            AdamW for vectors and the last linear layer).
        learning_rate: Peak learning rate; with muon, of what Muon updates.
        adam_learning_rate: With muon, the peak learning rate of what AdamW updates.
        weight_decay: Decoupled for adamw and muon, an L2 penalty for adam and sgd. Biases and
            normalisation have none; with muon, nor has the last linear layer.
        momentum: Of sgd and of Muon; the first beta of adam and adamw.
        schedule: How the learning rate changes after the warm-up, step by step: ``constant``; ``linear`` or
            ``cosine`` to zero; or ``onecycle``.
        warmup: Share of all steps in which the learning rate rises to its peak.
        label_smoothing: Share of the target spread over all classes (Szegedy et al. 2016,
            arXiv 1512.00567, section 7).
        flip_average: Average the logits of each image and its mirror image in validation, test and
            prediction.
        compile: Compile the network with ``torch.compile``; needs a C++ compiler on CPU.

    Attributes:
        results: By stage (``train``, ``val``, ``test``), the last epoch's ``loss`` and metrics; of
            validation batches with targets, ``photographs``: the ``accuracy``, logged as
            ``val/photographs``.
        predictions: For ``val``, ``test`` and ``photographs``, the last epoch's logits, labels (of
            ``photographs`` targets) and indices of all processes, sorted by index.

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
        self.network = network.to(memory_format=memory_format(network))
        evaluation = classification_metrics()
        training = MetricCollection({"accuracy": evaluation["accuracy"].clone()})
        # a module cannot be called "train", which is a method
        self.metrics = nn.ModuleDict({"train_": training, "val_": evaluation, "test_": evaluation.clone()})
        self.results: dict[str, dict[str, Tensor]] = {}
        self.predictions: dict[str, Outputs] = {}
        self._epoch_buffers = {stage: EpochBuffer() for stage in get_args(Stage)}
        self._restored: list[Tensor] = []  # of the epoch that a checkpoint interrupts, from all processes
        self._seed, self._total_steps = 0, 1
        self._teachers: Teachers | None = None

    def learn_from(self, teachers: Teachers) -> None:
        """Train with the loss of ``teachers.loss`` in place of that of the labels alone."""
        self._teachers = teachers

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, 10) of images, float32 (N, 1, 28, 28) in [0, 1]."""
        return self.network(images)

    def evaluation_logits(self, images: Tensor) -> Tensor:
        """Return the logits that validation, test and prediction use, float32 (N, 10).

        With ``flip_average`` they are the mean over each image and its mirror image. A network in float64
        gives float64.
        """
        return evaluation_logits(self, images, self.hparams["flip_average"])

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
            bf16=str(self.trainer.precision).startswith("bf16"),
        )

        def factor(step: int) -> float:
            # at the middle of the step: neither the first nor the last step has a learning rate of 0
            return schedule_factor(hparams["schedule"], (step + 0.5) / self._total_steps, hparams["warmup"])

        scheduler = LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def setup(self, stage: str) -> None:
        if stage == "fit":
            if self.trainer.precision == "64-true":
                self.double()  # Lightning does so after loading a checkpoint, which rounds it
            # weights that decay to denormal numbers would slow a CPU down; the setting applies to this
            # thread and to those that it starts from now on
            torch.set_flush_denormal(True)
            self._seed = torch.initial_seed()
            self._generator_state = _generator(self.trainer.strategy.root_device).get_state()

    def teardown(self, stage: str) -> None:
        if stage == "fit":  # what follows draws the same numbers as without this training
            _generator(self.trainer.strategy.root_device).set_state(self._generator_state)

    def on_fit_start(self) -> None:
        if self.hparams["compile"]:
            self.network.compile()
        if self._teachers is not None:
            self._teachers.prepare(self.network, self.hparams["compile"])

    def on_train_start(self) -> None:
        """Let the schedule end with the last step, and go on with an interrupted epoch.

        Raises:
            InputError: Training has no last step.
        """
        # in ``configure_optimizers`` this would set up the loaders before a checkpoint has restored them
        steps = total_steps(self.trainer)
        if not 0 < steps < math.inf:
            raise InputError(
                "--trainer.max_epochs: must be set (or --trainer.max_steps), the schedule needs an end"
            )
        self._total_steps = int(steps)
        scheduler = self.lr_schedulers()
        if isinstance(scheduler, LambdaLR):  # its rate so far was that of another number of steps
            for group, base, factor in zip(
                scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
            ):
                group["lr"] = base * factor(scheduler.last_epoch)
        if self._restored:
            shares = [column.tensor_split(self.trainer.world_size) for column in self._restored]
            self._epoch_buffers["train"].append(*(share[self.global_rank] for share in shares))
            self._restored = []

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make the random numbers of a step, like dropout's, a pure function of seed, step and process."""
        # factors are primes, so that the seeds of runs, steps and processes hardly ever meet
        seed = (self._seed * 1_000_003 + self.trainer.fit_loop.total_batch_idx) * 8_191 + self.global_rank
        _generator(self.device).manual_seed(seed % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        images, labels, indices = self._with_indices("train", batch)
        logits = at_least_float32(self(images))
        classes = labels
        if labels.ndim == 2:
            # a mixed image counts as its larger part
            classes = batch[3] if len(batch) > 3 else labels.argmax(1)
            labels = fixed_targets(labels.to(logits.dtype), logits)
        counted = len(classes)
        self._epoch_buffers["train"].append(logits[:counted].detach(), classes, indices[:counted])
        loss = F.cross_entropy(logits, labels, label_smoothing=self.hparams["label_smoothing"])
        return loss if self._teachers is None else self._teachers.loss(loss, images, logits)

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        self._evaluate("val" if batch[1].ndim == 1 else "photographs", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("test", batch)

    def predict_step(self, batch: Tensor | Batch, batch_idx: int) -> Tensor:
        """Return the logits of a batch of images, with or without labels."""
        return self.evaluation_logits(batch if isinstance(batch, Tensor) else batch[0])

    def _evaluate(self, stage: Stage, batch: Batch) -> None:
        images, labels, indices = self._with_indices(stage, batch)
        self._epoch_buffers[stage].append(self.evaluation_logits(images), labels, indices)

    def _with_indices(self, stage: Stage, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        images, labels, *rest = batch
        if rest:
            return images, labels, rest[0]
        first = len(self._epoch_buffers[stage])
        numbers = torch.arange(first, first + len(labels), device=labels.device)
        # Lightning's distributed sampler gives every world_size-th image to a process
        return images, labels, numbers * self.trainer.world_size + self.global_rank

    def on_train_epoch_start(self) -> None:
        self._epoch_buffers["train"].clear()

    def on_validation_epoch_start(self) -> None:
        self._epoch_buffers["val"].clear()
        self._epoch_buffers["photographs"].clear()

    def on_test_epoch_start(self) -> None:
        self._epoch_buffers["test"].clear()

    def on_train_epoch_end(self) -> None:
        self._summarise("train")

    def on_validation_epoch_end(self) -> None:
        self._summarise("val")
        self._summarise("photographs")

    def on_test_epoch_end(self) -> None:
        self._summarise("test")

    def _summarise(self, stage: Stage) -> None:
        """Compute the results of an epoch from all its logits, and log the scalar ones as ``stage/name``.

        The labels of photographs are targets (N, 10); their accuracy is logged as ``val/photographs``.

        Raises:
            InputError: Logits of validation or test images are not numbers.
        """
        buffer = self._epoch_buffers[stage]
        if not (columns := buffer.columns()):
            return
        # every process gathers, also one that got no image
        logits, labels, indices = map(self._gather, columns)
        buffer.clear()
        if not len(labels):
            return
        if stage == "photographs":  # right is any class that the targets name
            accuracy = (labels.gather(1, logits.argmax(1, keepdim=True)) > 0).float().mean()
            self.results[stage] = {"accuracy": accuracy}
            self.log("val/photographs", accuracy)
        else:
            results = self.results[stage] = self._metrics_of(stage, logits, labels)
            self.log_dict({f"{stage}/{name}": value for name, value in results.items() if not value.ndim})
        if stage != "train":
            order = indices.argsort()
            self.predictions[stage] = logits[order], labels[order], indices[order]

    def _metrics_of(self, stage: Stage, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the loss and the metrics of logits (N, 10) and labels (N,)."""
        scores = None if stage == "train" else logits.cpu().numpy()
        if scores is not None and (fault := scores_fault(scores, len(labels))):
            self._check_finite(self.state_dict())
            raise InputError(f"--model {type(self).__name__}: gives {fault} of the {stage} set")
        metrics: Any = self.metrics[f"{stage}_"]
        metrics.update(logits, labels)
        # plain cross entropy in every stage, so that training and validation can be compared
        results: dict[str, Tensor] = {"loss": F.cross_entropy(logits, labels), **metrics.compute()}
        metrics.reset()
        if scores is not None:  # a metric of the table that torchmetrics has not computed
            more = logged_metrics(scores, labels.cpu().numpy(), known=results)
            results |= {name: logits.new_tensor(value) for name, value in more.items()}
        return results

    def _gather(self, values: Tensor) -> Tensor:
        """Concatenate the values (n, ...) of all processes, which may differ in n."""
        return torch.cat(gather_all_tensors(values)) if self.trainer.world_size > 1 else values

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the logits, labels and indices so far of an unfinished epoch, from all processes.

        Raises:
            InputError: The weights are not finite.
        """
        states = ("state_dict", "current_model_state", "optimizer_states")  # the second with averaged weights
        self._check_finite([checkpoint.get(name) for name in states])
        if self.trainer.training and len(self._epoch_buffers["train"]):
            columns = self._epoch_buffers["train"].columns()
            checkpoint["train_rows"] = [self._gather(column).clone() for column in columns]

    def _check_finite(self, states: Any) -> None:
        if not _is_finite(states):
            raise InputError(
                f"the weights are not finite after step {self.trainer.global_step}: try a "
                f"--model.learning_rate below {self.hparams['learning_rate']:g}"
            )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._restored = checkpoint.get("train_rows", [])


def fixed_targets(targets: Tensor, logits: Tensor) -> Tensor:
    """Return targets of cross entropy, each row a distribution, float (N, 10).

    A row that sums to more than 1 means that any of its classes is right. The loss is then minus the
    logarithm of the sum of their probabilities. Cross entropy against the current probabilities of these
    classes, made to sum to 1, has the same gradient.

    Args:
        targets: Distributions, or 1 for each class that is right, (N, 10).
        logits: Of the network, (N, 10).
    """
    several = targets.sum(1, keepdim=True) > 1.5  # two at least; rounding moves a sum of 1 less
    among = logits.detach().masked_fill(targets == 0, -torch.inf).softmax(1)
    return torch.where(several, among, targets)


def total_steps(trainer: Any) -> float:
    """Return the number of optimiser steps of a training, also if accumulation changes over its epochs."""
    scheduler = next((c for c in trainer.callbacks if isinstance(c, GradientAccumulationScheduler)), None)
    steps = trainer.estimated_stepping_batches  # sets the loaders up
    if scheduler is None or trainer.max_epochs in (None, -1):
        return steps
    # Lightning sets it at the start of an epoch only, and a resumed run may go on within one
    trainer.accumulate_grad_batches = scheduler.get_accumulate_grad_batches(trainer.current_epoch)
    steps = sum(
        math.ceil(trainer.num_training_batches / scheduler.get_accumulate_grad_batches(epoch))
        for epoch in range(trainer.max_epochs)
    )
    return steps if trainer.max_steps == -1 else min(steps, trainer.max_steps)


def _generator(device: torch.device) -> torch.Generator:
    """Return the generator that dropout on a device draws from.

    ``torch.manual_seed`` would be shorter, but in a CUDA build without a GPU it keeps a record of each call.
    """
    if device.type != "cuda":
        return torch.default_generator
    torch.cuda.init()  # there are no generators before
    return torch.cuda.default_generators[device.index or 0]


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
