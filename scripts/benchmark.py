"""Measure the loader, the training step of every network and Lightning's overhead on this machine.

What is compared takes turns in one process, and the fastest turn of each counts: a ratio means something on a
noisy machine where seconds do not.
"""

import argparse
import contextlib
import itertools
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmnist.core.errors import exits_cleanly
from fmnist.core.tables import counted

if TYPE_CHECKING:
    from torch import nn

    from fmnist.data.datamodule import FashionMNISTDataModule
    from fmnist.models.classifier import Classifier


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Print the measurements that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--root", default="data", help="folder of the data")
    parser.add_argument(
        "--compile", action="store_true", help="measure compiled networks too (needs a C++ compiler)"
    )
    parser.add_argument("--only", choices=["loader", "step", "overhead"], help="measure one part")
    options = parser.parse_args(args)

    import torch

    from fmnist.training.precision import choose_precision

    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision, reason = choose_precision(device)
    threads = counted(torch.get_num_threads(), "thread")
    print(f"{device}, torch {torch.__version__}, {threads}; {precision}: {reason}")
    if options.only in (None, "loader"):
        print_loader_speeds(options.root)
    if options.only in (None, "step"):
        print_step_speeds(device, options.compile)
    if options.only in (None, "overhead"):
        print_overhead(options.root)


def print_loader_speeds(root: str) -> None:
    """Print the images/s of this project's loader and of torchvision's."""
    speeds = loader_speeds(root)
    print()
    for name, speed in speeds.items():
        print(f"{name:28} {speed:10,.0f} images/s   {speeds['fmnist'] / speed:6.1f} x")


def print_step_speeds(device: str, compiled: bool) -> None:
    """Print the images/s of a training step of every network, in float32 and bfloat16."""
    from fmnist.models.cnn import CNN
    from fmnist.models.lenet5 import LeNet5
    from fmnist.models.mlp import MLP
    from fmnist.models.resnet import ResNet

    networks = {"MLP": MLP, "LeNet-5": LeNet5, "CNN": CNN, "ResNet-20": ResNet}
    print(f"\n{'training step, batch 256':28} {'float32':>10} {'bfloat16':>10}   images/s")
    for name, build in networks.items():
        for suffix, compile in (("", False), (", compiled", True))[: 1 + compiled]:
            speeds = [step_speed(build(), device, bf16, compile) for bf16 in (False, True)]
            print(f"{name + suffix:28} " + " ".join(f"{speed:10,.0f}" for speed in speeds))


def print_overhead(root: str) -> None:
    """Print how long an epoch takes in a bare PyTorch loop, under Lightning alone, and as trained here."""
    from fmnist.models.cnn import LitCNN
    from fmnist.models.mlp import LitMLP
    from fmnist.training.precision import choose_precision

    ways = ("bare loop", "barebones", "Lightning")
    precision, _ = choose_precision("cpu")
    print(f"\n{'epoch on the CPU, batch 256':28}" + "".join(f" {way:>18}" for way in ways))
    for name, build, size in (("MLP", LitMLP, 60_000), ("CNN", LitCNN, 10_000)):
        seconds = lightning_overhead(build, root, precision, size)
        cells = (f" {seconds[way]:8.2f} s x {seconds[way] / seconds['bare loop']:.3f}" for way in ways)
        print(f"{f'{name}, {size:,} images':28}" + "".join(cells))


def loader_speeds(
    root: str, batch_size: int = 500, worker_counts: tuple[int, ...] = (0, 2)
) -> dict[str, float]:
    """Return images/s of this project's loader and of torchvision's per-sample pipeline, alike augmented.

    Args:
        root: Where the data are.
        batch_size: Images a batch.
        worker_counts: Worker processes of the torchvision pipeline.
    """
    import torch
    from torch.utils.data import DataLoader
    from torchvision import transforms

    from fmnist.data.augmentation import Augmentation
    from fmnist.data.datamodule import FashionMNISTDataModule

    augmentation = Augmentation(shift=2, flip=True, erase=0.5)
    data = FashionMNISTDataModule(root, batch_size=batch_size, augmentation=augmentation)
    data.setup()
    loader = data.train_dataloader()
    transform = transforms.Compose(
        [
            transforms.ToPILImage(),
            transforms.RandomCrop(28, padding=augmentation.shift),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.RandomErasing(augmentation.erase),
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
    network: "nn.Module", device: str, bf16: bool, compile: bool = False, batch_size: int = 256
) -> float:
    """Return the images/s of forward pass, backward pass and optimiser step on one device.

    Args:
        network: Takes float32 (N, 1, 28, 28).
        device: ``cpu`` or ``cuda``.
        bf16: Run in bfloat16 where autocast says so.
        compile: Compile the network first.
        batch_size: Images a step.
    """
    import torch
    from torch.nn import functional as F

    from fmnist.models.layers import memory_format
    from fmnist.models.optimization import build_optimizer

    network = network.to(device).to(memory_format=memory_format(network)).train()
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
    build: "Callable[[], Classifier]",
    root: str,
    precision: str,
    train_size: int | None = None,
    turns: int = 3,
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
    from fmnist.data.augmentation import Augmentation
    from fmnist.data.datamodule import FashionMNISTDataModule

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


def _bare_epoch(model: "Classifier", data: "FashionMNISTDataModule", precision: str) -> float:
    import torch
    from torch.nn import functional as F

    from fmnist.models.optimization import build_optimizer

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


def _lightning_epoch(
    model: "Classifier", data: "FashionMNISTDataModule", precision: Any, barebones: bool = False
) -> float:
    from lightning.pytorch import Callback, Trainer, seed_everything
    from lightning.pytorch.callbacks import TQDMProgressBar
    from lightning.pytorch.loggers import TensorBoardLogger

    from fmnist.training.callbacks import EpochClock, EpochLines, StopAtNonFiniteLoss
    from fmnist.training.epoch_table import EpochTable

    class EpochStarts(Callback):
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_train_epoch_start(self, *_: Any) -> None:
            self.times.append(time.perf_counter())

    seed_everything(0, verbose=False)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    starts = EpochStarts()
    # from start to start, an epoch is complete: order, metrics and logs included
    shared: dict[str, Any] = {"accelerator": "cpu", "precision": precision, "max_epochs": 3}
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


if __name__ == "__main__":
    main()
