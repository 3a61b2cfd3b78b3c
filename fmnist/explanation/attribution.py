"""Make attribution maps with any finished run: the model, the layer, batches, and the size of the maps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.errors import InputError
from fmnist.core.images import to_input, to_uint8
from fmnist.explanation.methods import METHODS
from fmnist.inference.predictor import Predictor
from fmnist.models.layers import evaluating


class TargetOutput(nn.Module):
    """The number to explain: a network's logits times the coefficients of a target, summed.

    Args:
        network: Maps images (n, 1, 28, 28) to logits (n, 10).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, coefficients: Tensor) -> Tensor:
        """Return numbers (n,) for images (n, 1, 28, 28), with coefficients (n, 10)."""
        return (self.network(images) * coefficients).sum(1)


class EstimatorNetwork(nn.Module):
    """A scikit-learn estimator that is called like a network, and has no gradients."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, images: Tensor) -> Tensor:
        """Return log-probabilities or decision scores (n, 10) of images (n, 1, 28, 28) in [0, 1]."""
        return torch.from_numpy(self.predictor.logits(to_uint8(images.detach()[:, 0].numpy())))


class Explainer:
    """An attribution method applied to a network.

    Args:
        network: Maps images (n, 1, 28, 28) in [0, 1] to logits (n, 10); its attribute ``cam_layer`` is the
            default of ``layer``. Its mode, gradients, buffers and hooks stay as they are.
        method: One of ``METHODS``.
        layer: Dotted name of the module that the CAM methods read.

    Raises:
        InputError: The method or layer does not exist, or does not suit the network.
    """

    def __init__(self, network: nn.Module, method: str, layer: str | None = None) -> None:
        if reason := inapplicable(network, method):
            raise InputError(reason)
        self.network, self.name, self.method = network, method, METHODS[method]
        self.layer = _find_layer(network, layer) if self.method.needs_layer else None
        self._output = TargetOutput(network)

    def __call__(self, images: Tensor, coefficients: Tensor, progress: bool = False) -> Tensor:
        """Explain float images, in batches that fit into memory.

        Args:
            images: float32 (n, 1, 28, 28) in [0, 1].
            coefficients: float32 (n, 10), see ``Target.coefficients``.
            progress: Show a bar.

        Returns:
            Raw maps, float32 (n, h, w): of the CAM methods as large as the layer's, otherwise 28 x 28.
        """
        size, parts = self.method.batch_size, []
        bar = tqdm(total=len(images), desc=self.method.title, unit="image", disable=not progress)
        with bar, evaluating(self.network), torch.inference_mode(False), torch.enable_grad():
            for batch in zip(images.split(size), coefficients.split(size), strict=True):
                parts.append(self._explain(*batch))
                bar.update(len(parts[-1]))
        maps = torch.cat(parts)
        return maps.reshape(len(maps), *maps.shape[-2:]).float()

    def _explain(self, images: Tensor, coefficients: Tensor) -> Tensor:
        module = self.network.get_submodule(self.layer) if self.layer else None
        inputs = images.detach().clone().requires_grad_()  # captum warns about inputs without gradients
        return self.method.function(self._output, module, inputs, coefficients.clone()).detach()

    def maps(self, images: np.ndarray, coefficients: np.ndarray, progress: bool = False) -> np.ndarray:
        """Explain images uint8 (N, 28, 28) with coefficients (N, 10): raw maps, float32 (N, h, w)."""
        inputs = to_input(torch.from_numpy(images))
        return self(inputs, torch.from_numpy(coefficients), progress).numpy()


def network_of(predictor: Predictor) -> nn.Module:
    """Return the network of a run's model, or its estimator as an ``EstimatorNetwork``.

    Raises:
        InputError: The run is damaged.
    """
    return EstimatorNetwork(predictor) if predictor.run.kind == "scikit-learn" else predictor.network


def applicable_methods(network: nn.Module) -> list[str]:
    """Return the names in ``METHODS`` that suit a network."""
    has_gradients = not isinstance(network, EstimatorNetwork)
    has_map = has_gradients and bool(map_sizes(network))
    has_relu = any(isinstance(module, nn.ReLU) for module in network.modules())
    return [
        name
        for name, method in METHODS.items()
        if (has_gradients or not method.needs_gradients)
        and (has_map or not method.needs_layer)
        and (has_relu or not method.needs_relu)
    ]


def default_method(network: nn.Module, layer: str | None = None) -> str:
    """Return the first of ``METHODS`` that suits a network, if a layer is given of those that read one."""
    suitable = applicable_methods(network)
    return next((name for name in suitable if METHODS[name].needs_layer or not layer), suitable[0])


def inapplicable(network: nn.Module, method: str) -> str | None:
    """Return why a method does not suit a network, in a line that offers others; None if it does."""
    if method not in METHODS:
        return f"--method {method}: unknown; must be one of {', '.join(METHODS)}"
    applicable = applicable_methods(network)
    if method in applicable:
        return None
    name = type(network).__name__
    if isinstance(network, EstimatorNetwork):
        reason = "needs gradients, which a scikit-learn estimator does not have"
    elif METHODS[method].needs_relu and map_sizes(network):
        reason = f"changes how nn.ReLU passes gradients back, and {name} has none to change"
    else:
        reason = f"needs a layer whose output is a map, and {name} has none"
    return f"--method {method}: {reason}; use {', '.join(applicable)}"


def map_sizes(network: nn.Module) -> dict[str, tuple[int, int]]:
    """Return height and width of every module whose output is a map of several channels, by dotted name."""
    sizes: dict[str, tuple[int, int]] = {}

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and min(output[0].shape) > 1:
                sizes[name] = (output.shape[2], output.shape[3])

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in network.named_modules() if name]
    try:
        with evaluating(network), torch.no_grad():
            network(torch.zeros(1, 1, IMAGE_SIZE, IMAGE_SIZE))
    finally:
        for handle in handles:
            handle.remove()
    return {name: sizes[name] for name, _ in network.named_modules() if name in sizes}


def upsample(maps: Tensor) -> Tensor:
    """Return maps (n, h, w) at the size of the images, (n, 28, 28), by bilinear interpolation."""
    return F.interpolate(maps[:, None], (IMAGE_SIZE, IMAGE_SIZE), mode="bilinear")[:, 0]


def _find_layer(network: nn.Module, name: str | None) -> str:
    sizes = map_sizes(network)
    name = getattr(network, "cam_layer", None) if name is None else name
    if name in sizes:
        return name
    listed = ", ".join(f"{layer} ({height} x {width})" for layer, (height, width) in sizes.items())
    fault = f"--layer {name}: has no map" if name else f"--layer: must be given for {type(network).__name__}"
    raise InputError(f"{fault}; layers with one are {listed}")
