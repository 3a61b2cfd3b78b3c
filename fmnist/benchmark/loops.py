"""Three ways to train the same network: a bare PyTorch loop, ``train.py``, and the usual Lightning setup."""

import csv
import itertools
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy
from torchvision import datasets, transforms

from fmnist.benchmark.networks import Measured
from fmnist.core.commands import shipped_path
from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.data.augmentation import Augmentation
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.data.source import FashionMNIST
from fmnist.models.layers import memory_format
from fmnist.models.optimization import build_optimizer

EPOCHS = 2  # of a training: the first is slower, so the faster one counts


@dataclass(frozen=True)
class Trained:
    """What a training by ``train.py`` took.

    Attributes:
        epoch_seconds: Of each epoch but the first, validation and checkpoint included.
        images_per_second: Largest over the epochs, of training alone.
        peak_megabytes: Largest resident memory of the process.
        first_step_seconds: From the start of the process to the end of the first step.
    """

    epoch_seconds: list[float]
    images_per_second: float
    peak_megabytes: float
    first_step_seconds: float


class FirstStepAndPeak(Callback):
    """Prints the time of day after the first step, and the peak memory at the end."""

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == 1 and trainer.is_global_zero:
            print(f"\nfirst step at {time.time()}", flush=True)

    def on_fit_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.is_global_zero:
            print(f"\npeak of {_peak_megabytes()} MB", flush=True)


def _peak_megabytes() -> float:
    """Return the largest resident memory of this process so far.

    ``ru_maxrss`` will not do on Linux: a new process begins with that of its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


def by_train_script(network: Measured, root: str, epochs: int, *flags: str) -> Trained:
    """Train in a process of its own, as a user does.

    Args:
        network: What to train.
        root: Folder of the data.
        epochs: Two or more for times of epochs.
        flags: More arguments of ``train.py``.

    Raises:
        InputError: Training failed; the message holds the last line that it wrote.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, shipped_path("scripts/train.py"), "--config", network.config]
        command += ["--logs", folder, "--data.root", root, "--data.val_size", str(network.validation)]
        command += ["--trainer.max_epochs", str(epochs), "--test", "false", *flags]
        command += ["--trainer.callbacks+", f"{FirstStepAndPeak.__module__}.{FirstStepAndPeak.__name__}"]
        start = time.time()
        process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        text = process.stdout
        if process.returncode:
            raise InputError(f"{shlex.join(command)}: failed: {text.strip().rpartition(chr(10))[2]}")
        first_step, peak = (
            float(text.partition(words)[2].split()[0]) for words in ("first step at ", "peak of ")
        )
        with next(Path(folder).glob("*/version_0/metrics.csv")).open(newline="") as file:
            rows = list(csv.DictReader(file))
    ends = [float(row["seconds"]) for row in rows]
    return Trained(
        epoch_seconds=[after - before for before, after in itertools.pairwise(ends)],
        images_per_second=max(float(row["images_per_second"]) for row in rows),
        peak_megabytes=peak,
        first_step_seconds=first_step - start,
    )


def by_bare_loop(network: Measured, root: str, precision: str, device: str) -> list[float]:
    """Train in a plain loop over this project's loader; return the seconds of each epoch with validation."""
    settings = network.settings
    data = FashionMNISTDataModule(
        root,
        batch_size=settings["data"]["batch_size"],
        val_size=network.validation,
        train_size=network.images,
        augmentation=Augmentation(**settings["data"]["augmentation"]),
    )
    data.setup()
    model = network.build().to(device)
    model = model.to(memory_format=memory_format(model))
    bf16 = precision == "bf16-mixed"
    optimizer = _optimizer(model, network, bf16)
    loader, seconds = data.train_dataloader(), []
    validation: Any = data.val_dataloader()
    smoothing = settings["model"]["init_args"].get("label_smoothing", 0.0)
    for epoch in range(EPOCHS):
        start = time.perf_counter()
        loader.sampler.set_epoch(epoch)
        model.train()
        for images, labels, *_ in loader:
            with torch.autocast(device, torch.bfloat16, enabled=bf16):
                logits = model(images.to(device))
            optimizer.zero_grad()
            F.cross_entropy(logits.float(), labels.to(device), label_smoothing=smoothing).backward()
            optimizer.step()
        model.eval()
        right = torch.zeros((), dtype=torch.int64, device=device)
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=bf16):
            for batch in validation:
                right += (model(batch[0].to(device)).argmax(1) == batch[1].to(device)).sum()
        right.item()
        seconds.append(time.perf_counter() - start)
    return seconds


def _optimizer(model: nn.Module, network: Measured, bf16: bool = False) -> torch.optim.Optimizer:
    arguments = network.settings["model"]["init_args"]
    return build_optimizer(
        model,
        arguments["optimizer"],
        arguments["learning_rate"],
        arguments["weight_decay"],
        arguments["momentum"],
        arguments["adam_learning_rate"],
        bf16=bf16,
    )


class UsualModule(LightningModule):
    """What a tutorial's LightningModule does: torchmetrics' ``forward`` and ``log`` in every step."""

    def __init__(self, network: Measured) -> None:
        super().__init__()
        self.network = network.build()
        self._optimizer = _optimizer(self.network, network)
        self.training_accuracy = MulticlassAccuracy(len(CLASSES), average="micro")
        self.validation_accuracy = self.training_accuracy.clone()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._step("training", self.training_accuracy, batch)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return self._step("validation", self.validation_accuracy, batch)

    def _step(self, stage: str, accuracy: Metric, batch: tuple[Tensor, Tensor]) -> Tensor:
        images, labels = batch
        logits = self.network(images)
        loss = F.cross_entropy(logits, labels)
        accuracy(logits, labels)
        self.log(f"{stage}_loss", loss, prog_bar=True)
        self.log(f"{stage}_accuracy", accuracy, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self._optimizer


class EpochStarts(Callback):
    """Notes when each training epoch starts, and when training ends."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_epoch_start(self, *_: Any) -> None:
        self.times.append(time.perf_counter())

    def on_train_end(self, *_: Any) -> None:
        self.times.append(time.perf_counter())


def by_usual_setup(network: Measured, folder: str, device: str, workers: int) -> list[float]:
    """Train as most people do with Lightning; return the seconds of each epoch with validation.

    The data set is torchvision's, its images are augmented one at a time, a DataLoader makes the batches, and
    metrics are computed and logged in every step, with a progress bar. Precision and memory layout are the
    defaults.

    Args:
        network: With the batch size, optimiser and augmentation of its configuration.
        folder: Holds the data as torchvision wants them, see ``torchvision_folder``.
        device: ``cpu`` or ``cuda``.
        workers: Of each DataLoader.
    """
    settings = network.settings["data"]
    arguments: dict[str, Any] = {
        "batch_size": settings["batch_size"],
        "num_workers": workers,
        "persistent_workers": workers > 0,
    }
    augmented = datasets.FashionMNIST(folder, transform=usual_transform(settings["augmentation"]))
    plain = datasets.FashionMNIST(folder, transform=transforms.ToTensor())
    images: Dataset[Any] = Subset(augmented, range(network.images))
    validation: Dataset[Any] = Subset(plain, range(len(plain) - network.validation, len(plain)))
    starts = EpochStarts()
    with tempfile.TemporaryDirectory() as logs:
        trainer = Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            max_epochs=EPOCHS,
            default_root_dir=logs,
            callbacks=[starts],
        )
        trainer.fit(
            UsualModule(network),
            DataLoader(images, shuffle=True, **arguments),
            DataLoader(validation, **arguments),
        )
    return [after - before for before, after in itertools.pairwise(starts.times)]


def usual_transform(augmentation: dict[str, Any]) -> transforms.Compose:
    """Return torchvision's transforms of one image, with the shift, flip and erasing of a configuration."""
    steps: list[Any] = []
    if augmentation.get("shift"):
        steps.append(transforms.RandomCrop(28, padding=augmentation["shift"]))
    if augmentation.get("flip"):
        steps.append(transforms.RandomHorizontalFlip())
    steps.append(transforms.ToTensor())
    if augmentation.get("erase"):
        steps.append(transforms.RandomErasing(augmentation["erase"]))
    return transforms.Compose(steps)


def torchvision_folder(data: FashionMNIST, folder: str) -> None:
    """Write a data set into a folder as torchvision's ``FashionMNIST`` reads it."""
    raw = Path(folder, "FashionMNIST", "raw")
    raw.mkdir(parents=True)
    for name, values in (
        ("train-images-idx3-ubyte", data.train_images),
        ("train-labels-idx1-ubyte", data.train_labels),
        ("t10k-images-idx3-ubyte", data.test_images),
        ("t10k-labels-idx1-ubyte", data.test_labels),
    ):
        array = values.numpy().astype("uint8")
        header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        (raw / name).write_bytes(header + array.tobytes())
