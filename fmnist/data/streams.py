"""Random numbers by name: each is a pure function of (seed, epoch, name, index of the image)."""

import zlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


class Streams:
    """One independent stream of random numbers for each name, drawn when it is first asked for.

    A name that is added later, or is not asked for, changes no number of the others.

    Args:
        size: Number of images in the data set; each stream has one number for each of them.
        seed: Seed of all streams.
        device: Device of the returned tensors.
    """

    def __init__(self, size: int, seed: int, device: torch.device) -> None:
        self.size, self.seed, self.device = size, seed, device
        self._banks: dict[str, Tensor] = {}
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Make all numbers those of ``epoch``, counted from 0."""
        self.epoch = epoch
        self._numbers: dict[str, Tensor] = {}

    def uniform(self, name: str) -> Tensor:
        """Return a number in [0, 1) for each image of the data set, float32 (size,).

        The tensor is the stored one: numbers written into it hold until the next ``set_epoch``.
        """
        return self._drawn(name, lambda generator: generator.random(self.size, np.float32))

    def beta(self, name: str, alpha: float) -> Tensor:
        """Return a number of the symmetric Beta distribution for each image, as ``uniform`` does."""
        return self._drawn(name, lambda generator: generator.beta(alpha, alpha, self.size))

    def bank(self, name: str, draw: Callable[[np.random.Generator], np.ndarray]) -> Tensor:
        """Return what ``draw`` makes with the generator of ``name``, as float32; the same in every epoch."""
        if name not in self._banks:
            self._banks[name] = self._to_device(draw(self._generator(0, name)))
        return self._banks[name]

    def _drawn(self, name: str, draw: Callable[[np.random.Generator], np.ndarray]) -> Tensor:
        if name not in self._numbers:
            self._numbers[name] = self._to_device(draw(self._generator(self.epoch, name)))
        return self._numbers[name]

    def _generator(self, epoch: int, name: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, epoch, zlib.crc32(name.encode())])

    def _to_device(self, numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(numbers.astype(np.float32, copy=False)).to(self.device)


class Draws:
    """The random numbers of the images of a batch.

    Args:
        streams: The numbers of all images.
        indices: int64 (B,), the positions of the batch's images in the data set.
    """

    def __init__(self, streams: Streams, indices: Tensor) -> None:
        self.streams, self.indices = streams, indices

    def __call__(self, name: str) -> Tensor:
        """Return a number in [0, 1) for each image, float32 (B,), of the stream ``name``."""
        return self.streams.uniform(name)[self.indices]

    def signed(self, name: str) -> Tensor:
        """Return the same number scaled to [-1, 1)."""
        return 2 * self(name) - 1

    def beta(self, name: str, alpha: float) -> Tensor:
        """Return a number of the symmetric Beta distribution for each image, float32 (B,)."""
        return self.streams.beta(name, alpha)[self.indices]

    def bank(self, name: str, draw: Callable[[np.random.Generator], np.ndarray]) -> Tensor:
        """Return random data that all images share, see ``Streams.bank``."""
        return self.streams.bank(name, draw)

    def of(self, chosen: Tensor) -> "Draws":
        """Return the numbers of some images of the batch, at the positions ``chosen``, int64 (b,)."""
        return Draws(self.streams, self.indices[chosen])
