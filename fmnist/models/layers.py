"""Layers that several networks share."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from fmnist.core.constants import CLASSES, IMAGE_SIZE
from fmnist.core.errors import InputError, one_line


class Normalize(nn.Module):
    """Shift and scale images by the mean and standard deviation of the training pixels.

    Part of every network, so that training, prediction and export normalise alike.
    """

    mean, std = 0.2860, 0.3530  # of the 60,000 training images, pixels in [0, 1]

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) * (1 / self.std)


def initialize_kaiming(network: nn.Module) -> None:
    """Draw weights for ReLU networks (He et al. 2015, arXiv 1502.01852, eq. 10); biases are 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def check_widths(flag: str, widths: Sequence[int]) -> None:
    """Refuse numbers of units or channels below 1.

    Raises:
        InputError: There is one; ``flag`` is named.
    """
    if any(width < 1 for width in widths):
        raise InputError(f"--model.{flag} {', '.join(map(str, widths))}: must be at least 1")


@contextlib.contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and each of its modules back into its own afterwards."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def embedding(network: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """Return the method ``features`` of a network, which maps images (N, 1, 28, 28) to vectors (N, D).

    ``None`` if it has none, or one that is something else, as the convolutions of torchvision's networks are.
    """
    features = getattr(network, "features", None)
    if not callable(features):
        return None
    device = next((parameter.device for parameter in network.parameters()), None)
    try:
        with evaluating(network), torch.no_grad():
            vectors = features(torch.zeros(2, 1, IMAGE_SIZE, IMAGE_SIZE, device=device))
    except Exception:  # whatever it wants, it is not images
        return None
    return features if isinstance(vectors, Tensor) and vectors.ndim == 2 and len(vectors) == 2 else None


def evaluation_logits(network: nn.Module, images: Tensor, flip_average: bool) -> Tensor:
    """Return the logits that validation, test and prediction use, (N, 10), float32 or more precise.

    Args:
        network: Gives logits (N, 10).
        images: float32 (N, 1, 28, 28) in [0, 1].
        flip_average: Take the mean over each image and its mirror image.
    """
    logits = at_least_float32(network(images))
    if flip_average:
        logits = (logits + at_least_float32(network(images.flip(-1)))) / 2
    return logits


def at_least_float32(values: Tensor) -> Tensor:
    """Return values of a lower precision as float32, others as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def memory_format(network: nn.Module) -> torch.memory_format:
    """Return the layout in which a network is computed: channels last, the fastest on CPU and on GPU.

    It is contiguous for networks with a strided 1x1 convolution of fewer than 8 channels, whose backward pass
    in oneDNN (of torch 2.15) writes outside its memory on processors without AVX-512 if channels come last.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            pointwise, strided = set(module.kernel_size) == {1}, max(module.stride) > 1
            if pointwise and strided and module.weight.shape[1] < 8:
                return torch.contiguous_format
    return torch.channels_last


def parameter_count(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def check_logits(network: nn.Module) -> None:
    """Refuse a network that does not map images to one logit for each class.

    Raises:
        InputError: It takes other images, or gives something else.
    """
    wanted = f"must map images (2, 1, {IMAGE_SIZE}, {IMAGE_SIZE}) to logits (2, {len(CLASSES)})"
    try:
        with evaluating(network), torch.no_grad():
            logits = network(torch.zeros(2, 1, IMAGE_SIZE, IMAGE_SIZE))
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"--model: its network {type(network).__name__} {wanted}: {one_line(error)}"
        ) from None
    if getattr(logits, "shape", None) != (2, len(CLASSES)):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(f"--model: its network {type(network).__name__} {wanted}, gives {shape}")


def multiply_adds(network: nn.Module) -> int:
    """Count the multiply-adds of convolutions and dense layers for one image, float32 (1, 1, 28, 28)."""
    from torch.utils.flop_counter import FlopCounterMode

    with evaluating(network), FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, IMAGE_SIZE, IMAGE_SIZE))
    return counter.get_total_flops() // 2
