"""A quiet trainer, a small perceptron and synthetic images for the tests of training."""

from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from fmnist.models.mlp import LitMLP


def trainer(*callbacks: Callback, **arguments: Any) -> Trainer:
    quiet = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")
    defaults = {"accelerator": "cpu", "devices": 1, "num_sanity_val_steps": 0, **dict.fromkeys(quiet, False)}
    return Trainer(**{**defaults, **arguments}, callbacks=list(callbacks))


def mlp(**training: Any) -> LitMLP:
    torch.manual_seed(0)
    return LitMLP(**{"widths": [16], **training})


def images_and_labels(size: int = 200) -> tuple[Tensor, Tensor]:
    """Return float images (N, 1, 28, 28), each class with its own bright row, and labels (N,)."""
    images = 0.3 * torch.rand(size, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(size) % 10
    images[torch.arange(size), 0, 2 * labels] += 0.7
    return images, labels


def plain_loader(**arguments: Any) -> DataLoader[tuple[Tensor, ...]]:
    """Return a loader of (images, labels), without indices."""
    return DataLoader(TensorDataset(*images_and_labels()), **{"batch_size": 32, **arguments})
