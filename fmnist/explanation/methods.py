"""The methods that make maps of evidence, each a thin call of captum."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from captum.attr import (
    GuidedGradCam,
    IntegratedGradients,
    LayerActivation,
    LayerGradCam,
    LayerGradientXActivation,
    NoiseTunnel,
    Occlusion,
    Saliency,
)
from torch import Tensor, nn

STEPS = 50  # of integrated gradients, from a black image
SAMPLES, NOISE = 25, 0.15  # of SmoothGrad; standard deviation, of pixels in [0, 1]
WINDOW, STRIDE = 4, 2  # of occlusion by black, in pixels


class Score(nn.Module):
    """The number to explain: a network's logits times the coefficients of a target.

    Args:
        network: Maps images (n, 1, 28, 28) to logits (n, 10).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, coefficients: Tensor) -> Tensor:
        """Return scores (n,) of images (n, 1, 28, 28), with coefficients (n, 10)."""
        return (self.network(images) * coefficients).sum(1)


Function = Callable[[Score, Any, Tensor, Tensor], Tensor]
"""Score, layer or None, images (n, 1, 28, 28), coefficients (n, 10) to maps (n, h, w) or (n, 1, h, w)."""


def _grad_cam(score: Score, layer: nn.Module, images: Tensor, coefficients: Tensor) -> Tensor:
    return LayerGradCam(score, layer).attribute(
        images, additional_forward_args=coefficients, relu_attributions=True
    )


def _hires_cam(score: Score, layer: nn.Module, images: Tensor, coefficients: Tensor) -> Tensor:
    products = LayerGradientXActivation(score, layer).attribute(images, additional_forward_args=coefficients)
    return products.sum(1).relu()


def _layer_cam(score: Score, layer: nn.Module, images: Tensor, coefficients: Tensor) -> Tensor:
    gradients = LayerGradientXActivation(score, layer, multiply_by_inputs=False).attribute(
        images, additional_forward_args=coefficients
    )
    activations = LayerActivation(score, layer).attribute(images, additional_forward_args=coefficients)
    return (gradients.relu() * activations).sum(1).relu()


def _guided_grad_cam(score: Score, layer: nn.Module, images: Tensor, coefficients: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting backward hooks on ReLU activations")
        return GuidedGradCam(score, layer).attribute(
            images, additional_forward_args=coefficients, interpolate_mode="bilinear"
        )


def _integrated_gradients(score: Score, layer: None, images: Tensor, coefficients: Tensor) -> Tensor:
    return IntegratedGradients(score).attribute(images, additional_forward_args=coefficients, n_steps=STEPS)


def _smooth_grad(score: Score, layer: None, images: Tensor, coefficients: Tensor) -> Tensor:
    tunnel = NoiseTunnel(Saliency(score))
    maps = []
    # one image at a time, under the same noise: a map does not depend on what else is in the batch
    for image, row in zip(images.split(1), coefficients.split(1), strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            gradients = tunnel.attribute(
                image, nt_samples=SAMPLES, stdevs=NOISE, additional_forward_args=row, abs=False
            )
        maps.append(gradients.abs())
    return torch.cat(maps)


def _occlusion(score: Score, layer: None, images: Tensor, coefficients: Tensor) -> Tensor:
    return Occlusion(score).attribute(
        images.detach(),
        sliding_window_shapes=(1, WINDOW, WINDOW),
        strides=(1, STRIDE, STRIDE),
        additional_forward_args=coefficients,
        perturbations_per_eval=10,
    )


@dataclass(frozen=True)
class Method:
    """A way to make maps.

    Attributes:
        title: Its name in figures.
        function: What makes the maps.
        batch_size: Images at once, with what the method makes of each in memory.
        needs_layer: Whether it looks at a layer whose output is a map.
        needs_relu: Whether it alters the gradients of ReLU modules, and is the plain gradient without any.
        caveat: What one has to know before one believes it.
    """

    title: str
    function: Function
    batch_size: int
    needs_layer: bool = False
    needs_relu: bool = False
    caveat: str = ""


METHODS = {
    "gradcam": Method("Grad-CAM", _grad_cam, 250, needs_layer=True),
    "hirescam": Method("HiResCAM", _hires_cam, 250, needs_layer=True),
    "layercam": Method("LayerCAM", _layer_cam, 250, needs_layer=True),
    "guided-gradcam": Method(
        "Guided Grad-CAM",
        _guided_grad_cam,
        250,
        needs_layer=True,
        needs_relu=True,
        caveat="guided backpropagation draws edges nearly whatever was learned: see --sanity",
    ),
    "integrated-gradients": Method("Integrated gradients", _integrated_gradients, 5),
    "smoothgrad": Method("SmoothGrad", _smooth_grad, 50),
    "occlusion": Method("Occlusion", _occlusion, 25),
}
"""Grad-CAM (arXiv 1610.02391), HiResCAM (2011.08891), LayerCAM (10.1109/TIP.2021.3089943), guided Grad-CAM
(1610.02391), integrated gradients (1703.01365), SmoothGrad of saliency (1706.03825, absolute values),
occlusion (1311.2901). Those that look at a layer take the positive part, as their papers do; integrated
gradients, guided Grad-CAM and occlusion keep their signs."""
