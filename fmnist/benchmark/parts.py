"""The parts of the benchmark, named in ``TITLES``: each yields its rows as soon as they are measured.

What is compared takes turns, and each turn gives a ratio: ratios mean something on a noisy machine where
seconds do not.
"""

import contextlib
import io
import logging
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import datasets

from fmnist.benchmark import loops
from fmnist.benchmark.networks import NETWORKS, Measured
from fmnist.core.commands import shipped_path
from fmnist.core.tables import Row
from fmnist.data import source
from fmnist.data.augmentation import Augmentation
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models.layers import memory_format
from fmnist.models.optimization import build_optimizer
from fmnist.training.precision import choose_precision


@dataclass(frozen=True)
class Settings:
    """What holds for all parts.

    Attributes:
        root: Folder of the data.
        compile: Also measure compiled networks.
        turns: How often each comparison is repeated.
        scale: Multiplies the numbers of images and steps; tests make it small.
        networks: What is measured.
    """

    root: str
    compile: bool = False
    turns: int = 3
    scale: float = 1.0
    networks: Sequence[Measured] = NETWORKS

    @property
    def device(self) -> str:
        """``cuda`` where there is a GPU, else ``cpu``."""
        return "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def precision(self) -> str:
        """What training chooses here."""
        return choose_precision(self.device)[0]


def loader(settings: Settings) -> Iterator[Row]:
    """Measure this project's loader and torchvision's pipeline, alike augmented, in images/s."""
    augmentation, batch_size = Augmentation(shift=2, flip=True, erase=0.5), 250
    data = FashionMNISTDataModule(settings.root, batch_size=batch_size, val_size=0, augmentation=augmentation)
    data.setup()
    ours = data.train_dataloader()
    transform = loops.usual_transform({"shift": 2, "flip": True, "erase": 0.5})
    with tempfile.TemporaryDirectory() as folder:
        loops.torchvision_folder(data.data, folder)
        images = datasets.FashionMNIST(folder, transform=transform)
        ways = {"fmnist": _loading(ours, len(ours), batch_size)}
        for workers in (0, 2):
            other = DataLoader(
                images, batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
            )
            steps = max(2, int(40 * settings.scale))
            ways[f"torchvision, {workers} workers"] = _loading(other, steps, batch_size)
        yield from compared(ways, settings.turns, "images/s", "fmnist")


def _loading(loader: Iterable[Any], steps: int, batch_size: int) -> Callable[[], float]:
    """Return a function that takes batches of a loader and returns images/s."""

    def run() -> float:
        batches = iter(loader)
        next(batches)  # starts the workers
        start = time.perf_counter()
        for _ in range(steps - 1):
            next(batches)
        return (steps - 1) * batch_size / (time.perf_counter() - start)

    return run


def step(settings: Settings) -> Iterator[Row]:
    """Measure the training step of every network by layout and arithmetic, in images/s."""
    for network in settings.networks:
        kinds = [
            ("float32", False, False, False),
            ("float32, channels last", True, False, False),
            ("bfloat16, channels last", True, True, False),
        ]
        if settings.compile:
            kinds.append(("bfloat16, channels last, compiled", True, True, True))
        ways = {
            f"{network.title}, {name}": _step(network, settings, channels_last, bf16, compiled)
            for name, channels_last, bf16, compiled in kinds
        }
        yield from compared(ways, settings.turns, "images/s", f"{network.title}, float32")


def _step(
    network: Measured, settings: Settings, channels_last: bool, bf16: bool, compiled: bool
) -> Callable[[], float]:
    """Return a function that takes training steps and returns images/s."""
    device = settings.device
    model = network.build().to(device)
    if channels_last:
        model = model.to(memory_format=memory_format(model))
    model.train()
    if compiled:
        model.compile()
    optimizer = build_optimizer(model, "adamw", 1e-3, 0.0, 0.9)
    size = network.settings["data"]["batch_size"]
    images = torch.rand(size, 1, 28, 28, device=device)
    labels = torch.randint(0, 10, (size,), device=device)

    steps = max(2, int(settings.scale * network.images / size))

    def run() -> float:
        start = 0.0
        for step in range(steps + 1):
            if step == 1:  # the first one is for caches, and for the compiler
                start = time.perf_counter()
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                logits = model(images)
            optimizer.zero_grad()
            F.cross_entropy(logits.float(), labels).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return steps * size / (time.perf_counter() - start)

    return run


def epoch(settings: Settings) -> Iterator[Row]:
    """Measure an epoch with validation of every network: bare loop, ``train.py`` and the usual setup."""
    with tempfile.TemporaryDirectory() as folder:
        loops.torchvision_folder(source.load(settings.root), folder)
        for network in settings.networks:
            ways = _epochs_of(network, settings, folder)
            yield from compared(ways, settings.turns, "s", f"{network.title}, train.py")


def _epochs_of(network: Measured, settings: Settings, folder: str) -> dict[str, Callable[[], float]]:
    precision, device = settings.precision, settings.device
    title, size = network.title, ("--data.train_size", str(network.images))

    def usual(workers: int) -> float:
        with _quiet():
            return min(loops.by_usual_setup(network, folder, device, workers))

    return {
        f"{title}, train.py": lambda: min(
            loops.by_train_script(network, settings.root, 3, *size).epoch_seconds
        ),
        f"{title}, bare loop": lambda: min(loops.by_bare_loop(network, settings.root, precision, device)),
        f"{title}, usual Lightning setup, 0 workers": lambda: usual(0),
        f"{title}, usual Lightning setup, 2 workers": lambda: usual(2),
    }


def evaluation(settings: Settings) -> Iterator[Row]:
    """Measure how long every network takes for the 10,000 test images."""
    data = FashionMNISTDataModule(settings.root)
    data.setup()
    for network in settings.networks:
        model = network.build().to(settings.device).eval()
        model = model.to(memory_format=memory_format(model))
        bf16 = settings.precision == "bf16-mixed"

        def classify(model: nn.Module = model, bf16: bool = bf16) -> float:
            start = time.perf_counter()
            with torch.inference_mode(), torch.autocast(settings.device, torch.bfloat16, enabled=bf16):
                found = [model(images.to(settings.device)).argmax(1) for images, *_ in data.test_dataloader()]
            torch.cat(found).cpu()
            return time.perf_counter() - start

        yield from compared({network.title: classify}, settings.turns, "s", network.title)


def start(settings: Settings) -> Iterator[Row]:
    """Measure the time from the start of a process to its help or its first step."""

    def seconds(script: str, *arguments: str) -> Callable[[], float]:
        command = [sys.executable, shipped_path(f"scripts/{script}.py"), *arguments]

        def run() -> float:
            before = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            return time.perf_counter() - before

        return run

    def first_step() -> float:
        return loops.by_train_script(lenet5, settings.root, 1, *short).first_step_seconds

    lenet5 = NETWORKS[1]
    short = ("--data.train_size", "2000", "--trainer.limit_val_batches", "0")
    ways = {
        "train.py, first step": first_step,
        "train.py --help": seconds("train", "--help"),
        "evaluate.py --help": seconds("evaluate", "--help"),
    }
    yield from compared(ways, settings.turns, "s", "train.py, first step")


def memory(settings: Settings) -> Iterator[Row]:
    """Measure the peak memory of training every network."""
    for network in settings.networks:
        size = ("--data.train_size", str(max(2_000, network.images // 5)))
        trained = loops.by_train_script(network, settings.root, 1, *size)
        yield row(network.title, trained.peak_megabytes, "MB")


def growth(settings: Settings) -> Iterator[Row]:
    """Measure how training speed changes with images, batch size, width and processes, in images/s."""
    mlp, _, cnn, _ = NETWORKS
    training = "--data.train_size"
    for share in (8, 4, 2, 1):
        yield _speed(settings, f"MLP, 1/{share} of the training images", mlp, training, str(55_000 // share))
    for size in (32, 128, 512, 2048):
        flags = (training, "20000", "--data.batch_size", str(size))
        yield _speed(settings, f"MLP, batch size {size}", mlp, *flags)
    for factor in (1, 2, 4):
        widths = [width * factor for width in (32, 64, 128)]
        flags = (training, str(4_000 // factor), "--model.stem_width", str(24 * factor))
        yield _speed(settings, f"CNN, width x {factor}", cnn, *flags, "--model.widths", str(widths))
    for processes in (1, 2):
        strategy = ("--trainer.strategy", "ddp") if processes > 1 else ()
        devices = (*strategy, "--trainer.devices", str(processes), "--trainer.accelerator", "cpu")
        flags = (training, "4000", *devices)
        yield _speed(settings, f"CNN, {processes} process{'es' * (processes > 1)}", cnn, *flags)


def _speed(settings: Settings, name: str, network: Measured, *flags: str) -> Row:
    trained = loops.by_train_script(network, settings.root, 2, *flags)
    return row(name, trained.images_per_second, "images/s")


def row(name: str, value: float, unit: str, ratios: Sequence[float] = ()) -> Row:
    """Return what the table and the JSON file hold of a measurement.

    Args:
        name: What was measured.
        value: In ``unit``.
        unit: ``images/s``, ``s`` or ``MB``.
        ratios: Of each turn, how many times as long it takes as the reference.
    """
    return {
        "measured": name,
        "value": value,
        "unit": unit,
        "ratio": statistics.median(ratios) if ratios else None,
        "ratio_low": min(ratios, default=None),
        "ratio_high": max(ratios, default=None),
    }


def compared(ways: Mapping[str, Callable[[], float]], turns: int, unit: str, reference: str) -> Iterator[Row]:
    """Measure several ways in turn; the best value of each counts, and the ratio within each turn.

    Args:
        ways: Functions that measure once, by name.
        turns: How often.
        unit: ``images/s``, of which more is better, or ``s``.
        reference: The way that has the ratio 1.
    """
    measured = [{name: measure() for name, measure in ways.items()} for _ in range(turns)]
    faster = unit == "images/s"
    for name in ways:
        values = [turn[name] for turn in measured]
        ratios = [
            turn[reference] / turn[name] if faster else turn[name] / turn[reference] for turn in measured
        ]
        yield row(name, max(values) if faster else min(values), unit, () if len(ways) == 1 else ratios)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the progress bar, which is measured, and warnings off the terminal."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
