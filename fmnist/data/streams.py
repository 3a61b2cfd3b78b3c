"""Random numbers by name: each is a pure function of (seed, epoch, name, index of the image)."""

import zlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


class Streams:
    """One independent stream of random numbers for each name, drawn when it is first asked for.

    A name that is added later, or not used, changes no number of the others.

    Args:
        size: Images of the data set; every stream has one number for each of them.
        seed: Seed of all streams.
        device: Where the numbers are wanted.
    """

    def __init__(self, size: int, seed: int, device: torch.device) -> None:
        self.size, self.seed, self.device = size, seed, device
        self._banks: dict[str, Tensor] = {}
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Make all numbers those of ``epoch``, counted from 0."""
        self.epoch = epoch
        self._columns: dict[str, Tensor] = {}

    def uniform(self, name: str) -> Tensor:
        """Return a number in [0, 1) for each image of the data set, float32 (size,)."""
        if name not in self._columns:
            self._columns[name] = self._to_device(
                self._generator(self.epoch, name).random(self.size, np.float32)
            )
        return self._columns[name]

    def beta(self, name: str, alpha: float) -> Tensor:
        """Return a number of the symmetric Beta distribution for each image, float32 (size,)."""
        if name not in self._columns:
            numbers = self._generator(self.epoch, name).beta(alpha, alpha, self.size)
            self._columns[name] = self._to_device(numbers)
        return self._columns[name]

    def bank(self, name: str, draw: Callable[[np.random.Generator], np.ndarray]) -> Tensor:
        """Return what ``draw`` makes of this name's generator, as float32; the same in every epoch."""
        if name not in self._banks:
            self._banks[name] = self._to_device(draw(self._generator(0, name)))
        return self._banks[name]

    def _generator(self, epoch: int, name: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch, zlib.crc32(name.encode())])

    def _to_device(self, numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(numbers.astype(np.float32, copy=False)).to(self.device)


class Draws:
    """The random numbers of the images of a batch.

    Args:
        streams: Where they come from.
        indices: int64 (B,), the images' places in the data set.
    """

    def __init__(self, streams: Streams, indices: Tensor) -> None:
        self.streams, self.indices = streams, indices

    def __call__(self, name: str) -> Tensor:
        """Return each image's number in [0, 1) of the stream ``name``, float32 (B,)."""
        return self.streams.uniform(name)[self.indices]

    def beta(self, name: str, alpha: float) -> Tensor:
        """Return each image's number of a Beta distribution, float32 (B,)."""
        return self.streams.beta(name, alpha)[self.indices]

    def of(self, chosen: Tensor) -> "Draws":
        """Return the numbers of a part of the batch, places int64 (b,)."""
        return Draws(self.streams, self.indices[chosen])
