"""Loaders of a data set in memory: each batch is one gather, each epoch a pure function of its number."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from fmnist.core.images import to_input
from fmnist.data.augmenter import Augmenter

Batch = tuple[Tensor, ...]
"""Images float32 (B, 1, 28, 28) in [0, 1]; labels int64 (B,) or targets (B, 10); indices int64 (B,); and, in
training with photographs, the classes int64 (b,) of the first images, those of the data set."""

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

    def photographs(self, count: int) -> Tensor:
        """Return indices of photographs, int64 (count,): all of them in one order, in another, and so on."""
        first, size = self.augmenter.first_photograph, self.augmenter.photographs
        generator = np.random.default_rng([self.seed, self.epoch, 1])
        rounds = [generator.permutation(size) + start for start in range(0, count, size or 1)]
        order = np.concatenate([np.empty(0, np.int64), *rounds])[:count]
        return torch.from_numpy(order).to(self.indices.device) + first


def set_images(size: int, batch_size: int, photographs: int = 0, world_size: int = 1) -> int:
    """Return how many images of each batch are of the data set; all but its photographs.

    A training set, of ``size`` images, that is smaller makes one batch, as large as all processes can share.
    """
    return min(batch_size - photographs, size - (size + photographs) % world_size)


class TrainLoader:
    """Shuffled, augmented batches of equal size; the remainder at the end of an epoch is dropped.

    An epoch is one pass over the training set, however many photographs are added to its batches. Batch k
    holds the same images whatever the number of processes: each takes every ``world_size``-th image of it,
    from ``rank`` on.

    Args:
        augmenter: Makes the batches.
        indices: int64 (n,), the training set's.
        batch_size: Of all processes together; divisible by ``world_size``.
        seed: Of the order.
        rank: Number of this process.
        world_size: Number of processes.
        photographs: Number of photographs in each batch, its last images.
    """

    def __init__(
        self,
        augmenter: Augmenter,
        indices: Tensor,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        photographs: int = 0,
    ) -> None:
        self.augmenter, self.photographs = augmenter, photographs
        self.sampler = EpochOrder(indices.to(augmenter.labels.device), augmenter, seed)
        self.set_images = set_images(len(indices), batch_size, photographs, world_size)
        self.rank, self.world_size = rank, world_size
        self._position = self._start = _NO_POSITION

    def __len__(self) -> int:
        return len(self.sampler.indices) // self.set_images

    def __iter__(self) -> Iterator[Batch]:
        steps, epoch = len(self), self.sampler.epoch
        order = self.sampler.permutation()[: steps * self.set_images].view(steps, -1)
        added = self.sampler.photographs(steps * self.photographs).view(steps, self.photographs)
        order = torch.cat([order, added], 1)
        own = len(range(self.rank, self.set_images, self.world_size))  # of the data set, in this process
        first = self._start["step"] if self._start["epoch"] == epoch else 0
        self._start = _NO_POSITION
        for step in range(first, steps):
            indices = order[step, self.rank :: self.world_size]
            self._position = {"epoch": epoch, "step": step + 1}
            images, labels = self.augmenter.batch(indices)
            yield images, labels, indices, *([labels[:own].argmax(1)] if self.photographs else [])

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
        labels: int64 (N,), or float32 targets (N, 10).
        indices: int64 (n,), the images to return.
        batch_size: Of all processes together.
        rank: Number of this process.
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
