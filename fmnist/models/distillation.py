"""Knowledge distillation: a network learns from the probabilities that trained networks give to images."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fmnist.core.errors import InputError
from fmnist.models.layers import evaluation_logits

WEIGHT, TEMPERATURE = 0.9, 1.0
"""Defaults. Hinton et al. found a considerably lower weight of the labels best (section 2)."""


class Teacher(NamedTuple):
    """A trained network, which gives logits (N, 10); ``flip_average`` as in ``Classifier``."""

    network: nn.Module
    flip_average: bool = False


class Teachers:
    """Trained networks that teach another one, the student (Hinton et al. 2015, arXiv 1503.02531).

    They see the same augmented images as the student (consistent teaching, Beyer et al. 2022,
    arXiv 2106.05237). This is no ``nn.Module``, so that their weights are not trained, averaged or saved with
    those of the student.

    Args:
        members: At least one.
        weight: Share of the loss; the rest is that of the labels.
        temperature: Divides all logits before the softmax; above 1 it shows more of the unlikely classes.

    Raises:
        InputError: A value lies outside its range.
    """

    def __init__(
        self, members: Sequence[Teacher], weight: float = WEIGHT, temperature: float = TEMPERATURE
    ) -> None:
        if not 0 < weight <= 1:
            raise InputError(f"--teacher_weight {weight}: must be above 0 and at most 1")
        if not 0 < temperature <= 100:
            raise InputError(f"--teacher_temperature {temperature}: must be above 0 and at most 100")
        self.members, self.weight, self.temperature = tuple(members), weight, temperature
        for network, _ in self.members:
            network.requires_grad_(False)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Teachers":
        """Return itself: ``--ema`` copies the student, and nothing changes the teachers."""
        return self

    def prepare(self, student: nn.Module, compile: bool) -> None:
        """Move the networks to the device and floating-point type of the student; compile them if wanted."""
        weight = next(student.parameters())
        for network, _ in self.members:
            network.to(weight.device, weight.dtype)
            if compile:
                network.compile()

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Return the mean of the teachers' probabilities at the temperature, (N, 10)."""
        logits = torch.stack([evaluation_logits(network, images, flip) for network, flip in self.members])
        return (logits / self.temperature).softmax(2).mean(0)

    def loss(self, label_loss: Tensor, images: Tensor, logits: Tensor) -> Tensor:
        """Return the loss of the student: (1 - weight) label_loss + weight T^2 H(teachers, student).

        H is the cross entropy of the probabilities at the temperature T. With T^2 the gradients of the
        second part stay about as large as at T = 1.

        Args:
            label_loss: Cross entropy of the student with the labels.
            images: As the student saw them, (N, 1, 28, 28).
            logits: Of the student, (N, 10).
        """
        entropy = F.cross_entropy(logits / self.temperature, self.probabilities(images))
        return (1 - self.weight) * label_loss + self.weight * self.temperature**2 * entropy
