"""Augmented training batches, cut out of a data set in memory."""

import torch
from torch import Tensor
from torch.nn import functional as F

from fmnist.data.augmentation import SIZE, Augmentation, affine, erase, mix
from fmnist.data.streams import Draws, Streams


class Augmenter:
    """Cuts augmented batches out of a data set in memory.

    Args:
        images: uint8 (N, 28, 28), on the device where batches are wanted.
        labels: int64 (N,), on the same device.
        settings: What to do.
        partners: int64 (n,), indices of the images that may be mixed into others: the training set's.
        seed: Seed of all random parameters.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, settings: Augmentation, partners: Tensor, seed: int
    ) -> None:
        pad = settings.shift
        padded = F.pad(images, (pad, pad, pad, pad))
        # a view (N, 2 * pad + 1, 2 * pad + 1, 28, 28): every shift of every image, without a copy
        self.windows = padded.unfold(1, SIZE, 1).unfold(2, SIZE, 1)
        self.labels, self.settings = labels, settings
        self.partners = partners.to(images.device)
        self.streams = Streams(len(labels), seed, labels.device)

    def set_epoch(self, epoch: int) -> None:
        """Make the random parameters of every image those of ``epoch``, counted from 0."""
        self.streams.set_epoch(epoch)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return the augmented images at ``indices``, int64 (B,).

        Returns:
            float32 (B, 1, 28, 28) in [0, 1], and int64 labels (B,), or float32 class shares (B, 10)
            where images are mixed.
        """
        u = Draws(self.streams, indices)
        images, labels = self._moved(u), self.labels[indices]
        if self.settings.mixes:
            partners = self.partners[(u("mix_partner") * len(self.partners)).long()]
            others = self._moved(Draws(self.streams, partners))
            images, share = mix(images, others, u, self.settings)
            share = share[:, None]
            labels = share * F.one_hot(labels, 10) + (1 - share) * F.one_hot(self.labels[partners], 10)
        if self.settings.erase:
            images = erase(images, u, self.settings)
        return self.settings.apply_photometric(images, u), labels

    def _moved(self, u: Draws) -> Tensor:
        """Return shifted, flipped and warped images, float32 (B, 1, 28, 28) in [0, 1]."""
        y = x = torch.zeros_like(u.indices)
        if shift := self.settings.shift:
            y, x = ((u(name) * (2 * shift + 1)).long() for name in ("shift_y", "shift_x"))
        images = self.windows[u.indices, y, x]
        if self.settings.flip:
            images = torch.where((u("flip") < 0.5)[:, None, None], images.flip(2), images)
        images = images[:, None].float().div_(255)
        return affine(images, u, self.settings) if self.settings.warps else images
