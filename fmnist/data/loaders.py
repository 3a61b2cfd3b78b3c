"""Loaders of a data set in memory: each batch is one gather, each epoch a pure function of its number."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fmnist.core.images import to_input
from fmnist.data.augmentation import Augmenter

Batch = tuple[Tensor, Tensor, Tensor]
"""Images float32 (B, 1, 28, 28) in [0, 1]; labels int64 (B,) or shares (B, 10); indices int64 (B,)."""

_NO_POSITION = {"epoch": -1, "step": 0}


class EpochOrder:
    """The order of the images in an epoch; Lightning calls ``set_epoch`` of a loader's ``sampler``."""

    def __init__(self, indices: Tensor, augmenter: Augmenter, seed: int) -> None:
        self.indices, self.augmenter, self.seed = indices, augmenter, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of ``epoch``, counted from 0."""
        self.epoch = epoch
        self.augmenter.set_epoch(epoch)

    def permutation(self) -> Tensor:
        """Return the indices in the order of this epoch."""
        order = np.random.default_rng([self.seed, self.epoch, 0]).permutation(len(self.indices))
        return self.indices[torch.from_numpy(order).to(self.indices.device)]


class TrainLoader:
    """Shuffled, augmented batches of equal size; the remainder at the end of an epoch is dropped.

    Batch k holds the same images whatever the number of processes: each takes every
    ``world_size``-th image of it, from ``rank`` on.

    Args:
        augmenter: Makes the batches.
        indices: int64 (n,), the training set's.
        batch_size: Of all processes together; divisible by ``world_size``.
        seed: Of the order.
        rank: This process's number.
        world_size: Number of processes.
    """

    def __init__(
        self,
        augmenter: Augmenter,
        indices: Tensor,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.augmenter = augmenter
        self.sampler = EpochOrder(indices.to(augmenter.labels.device), augmenter, seed)
        # a set smaller than a batch is one batch, as large as all processes can share
        self.batch_size = min(batch_size, len(indices) // world_size * world_size)
        self.rank, self.world_size = rank, world_size
        self._position = self._start = _NO_POSITION

    def __len__(self) -> int:
        return len(self.sampler.indices) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        steps, epoch = len(self), self.sampler.epoch
        order = self.sampler.permutation()[: steps * self.batch_size].view(steps, self.batch_size)
        first = self._start["step"] if self._start["epoch"] == epoch else 0
        self._start = _NO_POSITION
        for step in range(first, steps):
            indices = order[step, self.rank :: self.world_size]
            self._position = {"epoch": epoch, "step": step + 1}
            yield *self.augmenter.batch(indices), indices

    def state_dict(self) -> dict[str, int]:
        """Return the position in an epoch: its number, and how many of its batches were returned."""
        return self._position

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Make the next iteration continue at a position, if it is of the same epoch."""
        self._start = state


class EvalLoader:
    """Every image once, in order, unaugmented; all processes make the same number of batches.

    Args:
        images: uint8 (N, 28, 28).
        labels: int64 (N,).
        indices: int64 (n,), the images to return.
        batch_size: Of all processes together.
        rank: This process's number.
        world_size: Number of processes.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        indices: Tensor,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.images, self.labels = images, labels
        steps = -(-len(indices) // batch_size)
        self.batches = indices.to(labels.device)[rank::world_size].tensor_split(steps) if steps else ()

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        for indices in self.batches:
            yield to_input(self.images[indices]), self.labels[indices], indices
