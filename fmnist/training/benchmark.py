"""Measurements of speed: the loader, a training step of each network, and what Lightning costs.

Whatever is compared takes turns in one process, and the fastest turn of each counts: a ratio holds
on a noisy machine where seconds do not.
"""

import contextlib
import itertools
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from fmnist.data.augmentation import Augmentation
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models.classifier import Classifier
from fmnist.models.optimization import build_optimizer
from fmnist.training.callbacks import EpochClock, EpochLines, StopAtNonFiniteLoss
from fmnist.training.table import EpochTable

AUGMENTATION = Augmentation(shift=2, flip=True, erase=0.5)


def loader_speeds(
    root: str, batch_size: int = 500, worker_counts: tuple[int, ...] = (0, 2)
) -> dict[str, float]:
    """Return images/s of this project's loader and of torchvision's per-sample pipeline, alike augmented.

    Args:
        root: Where the data are.
        batch_size: Images a batch.
        worker_counts: Worker processes of the torchvision pipeline.
    """
    from torchvision import transforms

    data = FashionMNISTDataModule(root, batch_size=batch_size, augmentation=AUGMENTATION)
    data.setup()
    loader = data.train_dataloader()
    transform = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.RandomCrop(28, padding=AUGMENTATION.shift),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.RandomErasing(AUGMENTATION.erase),
        ]
    )
    images, labels = data.data.train_images.numpy(), data.data.train_labels.tolist()
    samples: Any = [(image, label) for image, label in zip(images, labels, strict=True)]
    speeds = {"fmnist": 0.0}
    for workers in worker_counts:
        other = DataLoader(
            samples,
            batch_size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=lambda batch: (
                torch.stack([transform(x) for x, _ in batch]),
                torch.tensor([y for _, y in batch]),
            ),
        )
        for _ in range(2):
            speeds["fmnist"] = max(
                speeds["fmnist"], _images_per_second(iter(loader), len(loader), batch_size)
            )
            name = f"torchvision, {workers} workers"
            speeds[name] = max(speeds.get(name, 0.0), _images_per_second(iter(other), 20, batch_size))
    return speeds


def _images_per_second(batches: Iterator[Any], steps: int, batch_size: int) -> float:
    next(batches)  # starts the workers
    start = time.perf_counter()
    for _ in range(steps - 1):
        next(batches)
    return (steps - 1) * batch_size / (time.perf_counter() - start)


def step_speed(
    network: nn.Module, device: str, bf16: bool, compile: bool = False, batch_size: int = 256
) -> float:
    """Return the images/s of forward pass, backward pass and optimiser step on one device.

    Args:
        network: Takes float32 (N, 1, 28, 28).
        device: ``cpu`` or ``cuda``.
        bf16: Run in bfloat16 where autocast says so.
        compile: Compile the network first.
        batch_size: Images a step.
    """
    network = network.to(device).to(memory_format=torch.channels_last).train()
    if compile:
        network.compile()
    optimizer = build_optimizer(network, "adamw", 1e-3, 0.0, 0.9)
    images = torch.rand(batch_size, 1, 28, 28, device=device)
    labels = torch.randint(0, 10, (batch_size,), device=device)

    def steps(number: int) -> float:
        start = time.perf_counter()
        for _ in range(number):
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                logits = network(images)
            optimizer.zero_grad()
            F.cross_entropy(logits.float(), labels).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    steps(3)
    number = max(3, int(0.5 / (steps(2) / 2)))
    return number * batch_size / min(steps(number) for _ in range(3))


def lightning_overhead(
    build: Callable[[], Classifier], root: str, precision: str, train_size: int | None = None, turns: int = 3
) -> dict[str, float]:
    """Time an epoch of a bare PyTorch loop, of Lightning alone, and as ``scripts/train.py`` runs it.

    Args:
        build: Makes a fresh model.
        root: Where the data are.
        precision: Lightning's name, for all of them.
        train_size: Images of the epoch, ``None`` for all 60,000.
        turns: Epochs of each, taken in turn.

    Returns:
        The seconds of the fastest epoch: ``bare loop``; ``barebones``, Lightning's Trainer with all that
        can be switched off; ``Lightning``, with metrics, loggers, callbacks and progress bar.
    """
    data = FashionMNISTDataModule(
        root, batch_size=256, val_size=0, train_size=train_size, augmentation=Augmentation(shift=1, flip=True)
    )
    data.setup()
    times = [
        {
            "bare loop": _bare_epoch(build(), data, precision),
            "barebones": _lightning_epoch(build(), data, precision, barebones=True),
            "Lightning": _lightning_epoch(build(), data, precision),
        }
        for _ in range(turns)
    ]
    return {name: min(turn[name] for turn in times) for name in times[0]}


def _bare_epoch(model: Classifier, data: FashionMNISTDataModule, precision: str) -> float:
    network, loader = model.network.train(), data.train_dataloader()
    optimizer = build_optimizer(network, "adamw", 1e-3, 0.0, 0.9)
    seconds = []
    for epoch in range(2):
        start = time.perf_counter()
        loader.sampler.set_epoch(epoch)
        for images, labels, _ in loader:
            with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
                logits = network(images)
            optimizer.zero_grad()
            F.cross_entropy(logits.float(), labels).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


class _EpochStarts(Callback):
    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.times.append(time.perf_counter())


def _lightning_epoch(
    model: Classifier, data: FashionMNISTDataModule, precision: Any, barebones: bool = False
) -> float:
    seed_everything(0, verbose=False)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    starts = _EpochStarts()
    shared: dict[str, Any] = {"accelerator": "cpu", "precision": precision}
    shared["max_epochs"] = 3  # from start to start, an epoch is whole: order, metrics and logs included
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as null:
        trainer: Any
        if barebones:
            trainer = Trainer(**shared, barebones=True)
            trainer.callbacks.append(starts)  # ``barebones`` takes none
        else:
            trainer = Trainer(
                **shared,
                logger=[TensorBoardLogger(folder), EpochTable(f"{folder}/metrics.csv")],
                callbacks=[StopAtNonFiniteLoss(), EpochClock(), EpochLines(), TQDMProgressBar(20), starts],
                enable_checkpointing=False,
                enable_model_summary=False,
            )
        with contextlib.redirect_stderr(null), contextlib.redirect_stdout(null):
            trainer.fit(model, data)
    return min(after - before for before, after in itertools.pairwise(starts.times))
