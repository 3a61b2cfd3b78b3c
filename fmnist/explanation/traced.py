"""Capture a network together with its map for the predicted class, as one computation that can be exported.

The map needs gradients, which ``torch.export`` does not follow. ``make_fx`` does: it records the operations
of the backward pass. Those that no export format knows are written as others here.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F

from fmnist.core.constants import IMAGE_SIZE
from fmnist.explanation.attribution import Explainer, TargetOutput
from fmnist.explanation.masked_gradients import MaskedGradients
from fmnist.inference.export import MapOutput, program_of
from fmnist.models.classifier import Classifier

aten = torch.ops.aten


class LogitsAndMap(nn.Module):
    """A classifier's logits (N, 10), and the masked gradients (N, 28, 28) of the class that they predict."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier
        self.explain = MaskedGradients(TargetOutput(classifier.network))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and maps of images float32 (N, 1, 28, 28) in [0, 1]."""
        if images.shape[1:] != (1, IMAGE_SIZE, IMAGE_SIZE):  # a recording takes this for granted afterwards
            raise ValueError(f"images must have the shape (N, 1, {IMAGE_SIZE}, {IMAGE_SIZE})")
        images = images.to(torch.float32)  # changes nothing, and makes the program refuse other types
        logits = self.classifier.evaluation_logits(images)
        predicted = F.one_hot(logits.argmax(1), logits.shape[1]).to(logits.dtype)
        return logits, self.explain(images, predicted)


def capture_with_map(classifier: Classifier) -> ExportedProgram:
    """Return the computation from images (N, 1, 28, 28) to logits (N, 10) and maps (N, 28, 28), for any N.

    Raises:
        InputError: An operation of the network, or its gradient, cannot be exported.
    """
    module = LogitsAndMap(copy.deepcopy(classifier)).requires_grad_(False)
    failure = f"--with-map: the gradients of {type(classifier).__name__} cannot be exported"
    return program_of(module, _record, failure)


def _record(module: nn.Module, images: Tensor) -> nn.Module:
    """Return the operations of a module and of its backward pass."""
    # the weights become constants; no public argument says so
    record = make_fx(
        module, decomposition_table=BACKWARD, tracing_mode="symbolic", _allow_non_fake_inputs=True
    )
    return record(images)


def _spread(
    gradient: Tensor,
    weight: Tensor,
    size: Sequence[int],
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    """Return the transposed convolution of a gradient to the height and width of ``size``."""
    missing = [
        size[axis + 2]
        - (gradient.shape[axis + 2] - 1) * stride[axis]
        + 2 * padding[axis]
        - dilation[axis] * (weight.shape[axis + 2] - 1)
        - 1
        for axis in range(2)
    ]
    return aten.convolution(gradient, weight, None, stride, padding, dilation, True, missing, groups)


def _convolution_gradient(
    gradient: Tensor,
    inputs: Tensor,
    weight: Tensor,
    bias_sizes: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    wanted: Any,
) -> tuple[Tensor, None, None]:
    """Return the gradient of a convolution by its input; the arguments are ``convolution_backward``'s."""
    return _spread(gradient, weight, inputs.shape, stride, padding, dilation, groups), None, None


def _average_gradient(
    gradient: Tensor,
    inputs: Tensor,
    kernel: Any,
    stride: Any,
    padding: Any,
    ceil: bool,
    pad: bool,
    divisor: Any,
) -> Tensor:
    """Return the gradient of a mean over windows; the arguments are those of ``avg_pool2d_backward``."""
    channels = inputs.shape[1]
    weight = gradient.new_full((channels, 1, *kernel), 1 / (kernel[0] * kernel[1]))
    return _spread(gradient, weight, inputs.shape, stride or kernel, padding, (1, 1), channels)


def _maximum_gradient(gradient: Tensor, inputs: Tensor, *arguments: Any) -> Tensor:
    """Return the gradient of a maximum over windows; the arguments are those of the two operations below."""
    places = arguments[-1]  # of each maximum in its image
    empty = torch.zeros_like(inputs).flatten(2)
    return empty.scatter_add(2, places.flatten(2), gradient.flatten(2)).view(inputs.shape)


BACKWARD: dict[Any, Callable[..., Any]] = {
    aten.convolution_backward.default: _convolution_gradient,
    aten.avg_pool2d_backward.default: _average_gradient,
    aten.max_pool2d_with_indices_backward.default: _maximum_gradient,
    aten.adaptive_max_pool2d_backward.default: _maximum_gradient,
}
"""Operations of the backward pass, as operations that can be exported."""


def _expected(classifier: Classifier, images: np.ndarray, logits: np.ndarray) -> np.ndarray:
    predicted = np.eye(logits.shape[1], dtype=np.float32)[logits.argmax(1)]
    return Explainer(classifier.network, "masked-gradients").maps(images, predicted)


MAP = MapOutput(
    capture_with_map,
    _expected,
    "map: float32 (N, 28, 28), masked gradients for the class of the highest logit, with signs, not scaled "
    "(a part of the logit); explain.py draws the positive part",
)
"""The second output of ``scripts/export.py --with-map``."""
