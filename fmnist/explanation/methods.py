"""The attribution methods: one table, ``METHODS``, and a thin call of captum for most of them.

To add a method, write its function and its entry here; help, error messages and checks follow from the table.
captum and torch are imported inside the functions, so that ``scripts/explain.py --help`` does not load them.
"""

from __future__ import annotations  # the types below are imported for the type checker alone

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

STEPS = 50  # of integrated gradients, from a black image
SAMPLES, NOISE = 25, 0.15  # of SmoothGrad; standard deviation, of pixels in [0, 1]
WINDOW, STRIDE = 4, 2  # of occlusion by black, in pixels


@dataclass(frozen=True)
class Method:
    """An attribution method.

    Attributes:
        title: Its name in figures and tables.
        source: The paper.
        function: Takes the output to explain (a module of images and coefficients, see
            ``attribution.TargetOutput``), the layer or None, images (n, 1, 28, 28) and coefficients (n, 10);
            returns maps (n, h, w) or (n, 1, h, w).
        batch_size: Images at once, limited by the copies that the method makes of each.
        needs_gradients: Whether the model must be differentiable.
        needs_layer: Whether it reads a layer whose output is a map.
        needs_relu: Whether it changes the gradients of ReLU modules; without any it is the plain gradient.
        zero_on_black: Whether its maps are 0 wherever the image is black.
        caveat: What to know before believing its maps.
    """

    title: str
    source: str
    function: Callable[[nn.Module, Any, Tensor, Tensor], Tensor]
    batch_size: int
    needs_gradients: bool = True
    needs_layer: bool = False
    needs_relu: bool = False
    zero_on_black: bool = False
    caveat: str = ""


def describe_methods() -> str:
    """Return a line for each method: its name on the command line, its title and its paper."""
    return "\n".join(f"  {name:21} {method.title} ({method.source})" for name, method in METHODS.items())


def _masked_gradients(output: nn.Module, layer: None, images: Tensor, coefficients: Tensor) -> Tensor:
    from fmnist.explanation.masked_gradients import MaskedGradients

    return MaskedGradients(output)(images, coefficients)


def _grad_cam(output: nn.Module, layer: nn.Module, images: Tensor, coefficients: Tensor) -> Tensor:
    from captum.attr import LayerGradCam

    return LayerGradCam(output, layer).attribute(
        images, additional_forward_args=coefficients, relu_attributions=True
    )


def _hires_cam(output: nn.Module, layer: nn.Module, images: Tensor, coefficients: Tensor) -> Tensor:
    from captum.attr import LayerGradientXActivation

    products = LayerGradientXActivation(output, layer).attribute(images, additional_forward_args=coefficients)
    return products.sum(1).relu()


def _layer_cam(output: nn.Module, layer: nn.Module, images: Tensor, coefficients: Tensor) -> Tensor:
    from captum.attr import LayerActivation, LayerGradientXActivation

    gradients = LayerGradientXActivation(output, layer, multiply_by_inputs=False).attribute(
        images, additional_forward_args=coefficients
    )
    activations = LayerActivation(output, layer).attribute(images, additional_forward_args=coefficients)
    return (gradients.relu() * activations).sum(1).relu()


def _guided_grad_cam(output: nn.Module, layer: nn.Module, images: Tensor, coefficients: Tensor) -> Tensor:
    from captum.attr import GuidedGradCam

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting backward hooks on ReLU activations")
        return GuidedGradCam(output, layer).attribute(
            images, additional_forward_args=coefficients, interpolate_mode="bilinear"
        )


def _integrated_gradients(output: nn.Module, layer: None, images: Tensor, coefficients: Tensor) -> Tensor:
    from captum.attr import IntegratedGradients

    return IntegratedGradients(output).attribute(images, additional_forward_args=coefficients, n_steps=STEPS)


def _smooth_grad(output: nn.Module, layer: None, images: Tensor, coefficients: Tensor) -> Tensor:
    import torch
    from captum.attr import NoiseTunnel, Saliency

    tunnel = NoiseTunnel(Saliency(output))
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


def _occlusion(output: nn.Module, layer: None, images: Tensor, coefficients: Tensor) -> Tensor:
    from captum.attr import Occlusion

    return Occlusion(output).attribute(
        images.detach(),
        sliding_window_shapes=(1, WINDOW, WINDOW),
        strides=(1, STRIDE, STRIDE),
        additional_forward_args=coefficients,
        perturbations_per_eval=10,
    )


METHODS = {
    "masked-gradients": Method(
        "Masked gradients",
        "integrated gradients over masks; arXiv 1703.01365, 1806.07421",
        _masked_gradients,
        8,
    ),
    "gradcam": Method(
        "Grad-CAM", "Selvaraju et al. 2017, arXiv 1610.02391", _grad_cam, 250, needs_layer=True
    ),
    "hirescam": Method(
        "HiResCAM", "Draelos and Carin 2020, arXiv 2011.08891", _hires_cam, 250, needs_layer=True
    ),
    "layercam": Method(
        "LayerCAM", "Jiang et al. 2021, doi 10.1109/TIP.2021.3089943", _layer_cam, 250, needs_layer=True
    ),
    "guided-gradcam": Method(
        "Guided Grad-CAM",
        "Selvaraju et al. 2017, arXiv 1610.02391",
        _guided_grad_cam,
        250,
        needs_layer=True,
        needs_relu=True,
        caveat="guided backpropagation draws edges nearly whatever was learned: see --sanity",
    ),
    "integrated-gradients": Method(
        "Integrated gradients",
        "Sundararajan et al. 2017, arXiv 1703.01365",
        _integrated_gradients,
        5,
        zero_on_black=True,
    ),
    "smoothgrad": Method(
        "SmoothGrad", "Smilkov et al. 2017, arXiv 1706.03825, of absolute gradients", _smooth_grad, 50
    ),
    "occlusion": Method(
        "Occlusion",
        "Zeiler and Fergus 2014, arXiv 1311.2901",
        _occlusion,
        25,
        needs_gradients=False,
    ),
}
"""By name on the command line; the first that suits a run is its default. The CAM methods keep only the
positive part, as their papers do; masked and integrated gradients, guided Grad-CAM and occlusion keep their
signs."""
