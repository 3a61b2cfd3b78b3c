"""Maps of the evidence for a class, from any finished run."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from captum.attr import LayerAttribution
from torch import Tensor, nn
from tqdm import tqdm

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.explanation.methods import METHODS, Score
from fmnist.inference.predictor import Predictor

SIDE = 28


class BlackBox(nn.Module):
    """A scikit-learn estimator in the place of a network: it answers, and has no gradients.

    Args:
        predictor: Of the estimator's run.
    """

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, images: Tensor) -> Tensor:
        """Return the estimator's scores (n, 10) of images (n, 1, 28, 28) in [0, 1]."""
        pixels = (images.detach()[:, 0] * 255).round().to(torch.uint8)
        return torch.from_numpy(self.predictor.logits(pixels.numpy()))


class Explainer:
    """A method applied to a network.

    Args:
        network: Maps images (n, 1, 28, 28) in [0, 1] to logits (n, 10); its attribute ``cam_layer`` is the
            default of ``layer``. Its mode, gradients, buffers and hooks stay as they are.
        method: One of ``METHODS``.
        layer: Dotted name of the module that the CAM methods look at.

    Raises:
        InputError: There is no such method or layer, or they do not go with the network.
    """

    def __init__(self, network: nn.Module, method: str = "gradcam", layer: str | None = None) -> None:
        if reason := refusal(network, method):
            raise InputError(reason)
        self.network, self.name, self.method = network, method, METHODS[method]
        self.layer = _find_layer(network, layer) if self.method.needs_layer else None
        self._score = Score(network)

    def __call__(self, images: Tensor, coefficients: Tensor) -> Tensor:
        """Explain images at a network's door, in batches that fit into memory.

        Args:
            images: float32 (n, 1, 28, 28) in [0, 1].
            coefficients: float32 (n, 10), see ``Target.coefficients``.

        Returns:
            Raw maps, float32 (n, h, w): of the CAM methods as large as the layer's, otherwise 28 x 28.
        """
        size = self.method.batch_size
        parts = zip(images.split(size), coefficients.split(size), strict=True)
        with evaluating(self.network), torch.inference_mode(False), torch.enable_grad():
            maps = torch.cat([self._explain(*part) for part in parts])
        return maps.reshape(len(maps), *maps.shape[-2:]).float()

    def _explain(self, images: Tensor, coefficients: Tensor) -> Tensor:
        module = self.network.get_submodule(self.layer) if self.layer else None
        inputs = images.detach().clone().requires_grad_()  # captum warns of others
        return self.method.function(self._score, module, inputs, coefficients.clone()).detach()

    def maps(self, images: np.ndarray, coefficients: np.ndarray, progress: bool = False) -> np.ndarray:
        """Explain images at rest.

        Args:
            images: uint8 (N, 28, 28).
            coefficients: float32 (N, 10).
            progress: Show a bar.

        Returns:
            Raw maps, float32 (N, h, w).
        """
        size = self.method.batch_size
        parts = []
        with tqdm(total=len(images), desc=self.method.title, unit="image", disable=not progress) as bar:
            for start in range(0, len(images), size):
                batch = to_door(images[start : start + size])
                parts.append(self(batch, torch.from_numpy(coefficients[start : start + size])))
                bar.update(len(batch))
        return torch.cat(parts).numpy()


def load_network(run: Run) -> nn.Module:
    """Return the trained network of a run, or its estimator as a ``BlackBox``.

    Raises:
        InputError: The run is not finished, or damaged.
    """
    predictor = Predictor(run)
    if run.record.get("kind") == "scikit-learn":
        return BlackBox(predictor)
    return predictor.classifier.network


def refusal(network: nn.Module, method: str) -> str | None:
    """Return why a method does not go with a network, in a line that offers others; None if it does."""
    if method not in METHODS:
        return f"--method {method}: unknown; must be one of {', '.join(METHODS)}"
    if possible(network, method):
        return None
    name = type(network).__name__
    if isinstance(network, BlackBox):
        reason = "needs gradients, which a scikit-learn estimator does not have"
    elif METHODS[method].needs_relu and map_sizes(network):
        reason = f"changes how nn.ReLU passes gradients back, and {name} has none to change"
    else:
        reason = f"needs a layer whose output is a map, and {name} has none"
    others = ", ".join(name for name in METHODS if possible(network, name))
    return f"--method {method}: {reason}; use {others}"


def possible(network: nn.Module, method: str) -> bool:
    """Return whether a method of ``METHODS`` goes with a network."""
    if isinstance(network, BlackBox):
        return method == "occlusion"
    if METHODS[method].needs_relu and not any(isinstance(module, nn.ReLU) for module in network.modules()):
        return False
    return not METHODS[method].needs_layer or bool(map_sizes(network))


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
            network(torch.zeros(1, 1, SIDE, SIDE))
    finally:
        for handle in handles:
            handle.remove()
    return {name: sizes[name] for name, _ in network.named_modules() if name in sizes}


def to_door(images: np.ndarray) -> Tensor:
    """Return images uint8 (n, 28, 28) as networks take them: float32 (n, 1, 28, 28) in [0, 1]."""
    return torch.from_numpy(images)[:, None].float().div_(255)


def upsample(maps: Tensor) -> Tensor:
    """Return maps (n, h, w) at the size of the images, (n, 28, 28), by bilinear interpolation."""
    return LayerAttribution.interpolate(maps[:, None], (SIDE, SIDE), "bilinear")[:, 0]


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


def _find_layer(network: nn.Module, name: str | None) -> str:
    sizes = map_sizes(network)
    name = getattr(network, "cam_layer", None) if name is None else name
    if name in sizes:
        return name
    listed = ", ".join(f"{layer} ({height} x {width})" for layer, (height, width) in sizes.items())
    found = f"--layer {name}: has no map" if name else f"--layer: must be given for {type(network).__name__}"
    raise InputError(f"{found}; layers with one are {listed}")
