"""Augmented batches of a data set in memory, by the settings and functions of ``augmentation.py``."""

import torch
from torch import Tensor
from torch.nn import functional as F

from fmnist.core.constants import CLASSES, IMAGE_SIZE
from fmnist.data.augmentation import Augmentation, erase, geometric, mix, per_image, photometric
from fmnist.data.streams import Draws, Streams


class Augmenter:
    """Makes augmented batches of a data set in memory.

    Args:
        images: uint8 (N, 28, 28), on the device of the batches.
        labels: int64 (N,), or float32 targets (N, 10), on the same device.
        settings: Which augmentation.
        partners: int64 (n,), indices of the images that may be mixed into others: the training set's.
        seed: Of the random numbers.
        photographs: Number of the last images that are photographs: they are not mixed with others.
        copies: Indices of each photograph. The first is its position; from N on, indices go through all
            photographs again, and each gives them other random numbers.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        settings: Augmentation,
        partners: Tensor,
        seed: int,
        photographs: int = 0,
        copies: int = 1,
    ) -> None:
        pad = settings.shift
        padded = F.pad(images, (pad, pad, pad, pad))
        # every shift of every image: a view (N, 2 * pad + 1, 2 * pad + 1, 28, 28)
        self.shifted = padded.unfold(1, IMAGE_SIZE, 1).unfold(2, IMAGE_SIZE, 1)
        self.labels, self.settings = labels, settings
        self.partners = partners.to(images.device)
        self.photographs, self.first_photograph = photographs, len(labels) - photographs
        self.streams = Streams(len(labels) + (copies - 1) * photographs, seed, labels.device)

    def set_epoch(self, epoch: int) -> None:
        """Make the random numbers of every image those of ``epoch``, counted from 0."""
        self.streams.set_epoch(epoch)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the augmented images at ``indices``, int64 (B,).

        Returns:
            float32 (B, 1, 28, 28) in [0, 1], and int64 labels (B,), or float32 targets (B, 10) where
            images are mixed or the data set has targets.
        """
        u, settings = Draws(self.streams, indices), self.settings
        images, labels = self._geometric(u), self.labels[self._positions(indices)]
        if settings.mixup or settings.cutmix:
            partners = self.partners[(u("mix_partner") * len(self.partners)).long()]
            others = self._geometric(Draws(self.streams, partners))
            mixed, share = mix(images, others, u, settings)
            if self.photographs:
                whole = indices >= self.first_photograph
                mixed, share = torch.where(per_image(whole), images, mixed), share.masked_fill(whole, 1)
            own, other = (
                each if each.ndim == 2 else F.one_hot(each, len(CLASSES))
                for each in (labels, self.labels[partners])
            )
            images, labels = mixed, share[:, None] * own + (1 - share[:, None]) * other
        if settings.erase:
            images = erase(images, u, settings)
        return photometric(images, u, settings), labels

    def _positions(self, indices: Tensor) -> Tensor:
        """Return the positions among the images, int64 (B,), of indices, which repeat the photographs."""
        if not self.photographs:
            return indices
        repeated = (indices - self.first_photograph) % self.photographs + self.first_photograph
        return torch.where(indices < self.first_photograph, indices, repeated)

    def _geometric(self, u: Draws) -> Tensor:
        """Return shifted, flipped and affinely mapped images, float32 (B, 1, 28, 28) in [0, 1]."""
        y = x = torch.zeros_like(u.indices)
        if shift := self.settings.shift:
            y, x = ((u(name) * (2 * shift + 1)).long() for name in ("shift_y", "shift_x"))
        return geometric(self.shifted[self._positions(u.indices), y, x], u, self.settings)
