"""Attribution maps: closed forms and the library grad-cam, any batch and layer, and an unchanged network."""

import warnings

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM, HiResCAM, LayerCAM
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.guided_backprop import GuidedBackpropReLUasModule
from pytorch_grad_cam.utils.find_layers import replace_all_layer_type_recursive
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from fmnist.core.errors import InputError
from fmnist.explanation.attribution import Explainer, applicable_methods, upsample
from fmnist.explanation.methods import METHODS, STRIDE, WINDOW
from fmnist.models.mlp import MLP
from tests.explanation.conftest import make_network, one_hot

LIBRARY: dict[str, type[BaseCAM]] = {"gradcam": GradCAM, "hirescam": HiResCAM, "layercam": LayerCAM}


@pytest.mark.parametrize("method", LIBRARY)
def test_cams_are_those_of_the_library(method: str, network: nn.Module, images: Tensor) -> None:
    explainer = Explainer(network, method)
    assert explainer.layer is not None
    with LIBRARY[method](network, [network.get_submodule(explainer.layer)]) as library:
        compared = 0  # most classes have some evidence
        for label in range(10):
            targets = [ClassifierOutputTarget(label)] * len(images)
            library(images, targets)
            activations = library.activations_and_grads.activations[0].numpy()
            gradients = library.activations_and_grads.gradients[0].numpy()
            raw = library.get_cam_image(images, None, targets, activations, gradients, False).clip(min=0)
            maps = explainer(images, one_hot([label] * len(images)))
            peaks = np.abs(raw).max((1, 2), keepdims=True)
            assert (np.abs(maps.numpy() - raw) <= 1e-4 * peaks + 1e-9).all()
            compared += (peaks > 1e-6).sum()
    assert compared > 300  # of 1,000


def test_guided_grad_cam_is_the_cam_times_the_guided_gradient(images: Tensor) -> None:
    lenet5 = make_network("lenet5")
    images, coefficients = images[:5], one_hot([1, 2, 3, 4, 5])
    maps = Explainer(lenet5, "guided-gradcam")(images, coefficients)
    cams = upsample(Explainer(lenet5, "gradcam")(images, coefficients))
    replace_all_layer_type_recursive(lenet5, nn.ReLU, GuidedBackpropReLUasModule())
    inputs = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((lenet5(inputs) * coefficients).sum(), inputs)
    torch.testing.assert_close(maps, cams * gradient[:, 0], atol=1e-7, rtol=1e-4)


def test_integrated_gradients_sum_to_the_change_of_the_output(network: nn.Module, images: Tensor) -> None:
    images, coefficients = images[:8], one_hot(range(8))
    maps = Explainer(network, "integrated-gradients")(images, coefficients)
    with torch.no_grad():
        change = ((network(images) - network(torch.zeros_like(images))) * coefficients).sum(1)
    torch.testing.assert_close(maps.sum((1, 2)), change, atol=0.05 * change.abs().max().item(), rtol=0)


def test_maps_of_a_linear_network_are_those_of_the_closed_form(linear: nn.Sequential, images: Tensor) -> None:
    images, coefficients = images[:3], one_hot([4] * 3) - one_hot([0] * 3)
    weights = (coefficients[0] @ linear[1].weight).detach().view(28, 28)
    products = images[:, 0] * weights
    gradients = Explainer(linear, "integrated-gradients")(images, coefficients)
    torch.testing.assert_close(gradients, products, atol=1e-6, rtol=1e-4)
    smooth = Explainer(linear, "smoothgrad")(images, coefficients)
    torch.testing.assert_close(smooth, weights.abs().expand(3, 28, 28))
    # occlusion: the mean drop of the windows that cover a pixel
    drops, covers = torch.zeros(3, 28, 28), torch.zeros(28, 28)
    for top in range(0, 28 - WINDOW + 1, STRIDE):
        for left in range(0, 28 - WINDOW + 1, STRIDE):
            window = (slice(None), slice(top, top + WINDOW), slice(left, left + WINDOW))
            drops[window] += products[window].sum((1, 2), keepdim=True)
            covers[window[1:]] += 1
    occlusion = Explainer(linear, "occlusion")(images, coefficients)
    torch.testing.assert_close(occlusion, drops / covers, atol=1e-5, rtol=1e-4)


def test_smooth_grad_has_a_random_state_of_its_own(cnn: nn.Module, images: Tensor) -> None:
    maps = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        maps.append(Explainer(cnn, "smoothgrad")(images[:2], one_hot([4] * 2)))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*maps)


def test_a_map_does_not_depend_on_its_batch(network: nn.Module, images: Tensor) -> None:
    for method in applicable_methods(network):
        count = 32 if METHODS[method].needs_layer else 4
        explainer, batch, coefficients = Explainer(network, method), images[:count], one_hot(range(10))
        coefficients = coefficients.repeat(4, 1)[:count]
        maps = explainer(batch, coefficients)
        singles = torch.cat([explainer(batch[[i]], coefficients[[i]]) for i in range(count)])
        logits = network(batch).detach().abs().max().item()  # occlusion is their difference, as its rounding
        torch.testing.assert_close(maps, singles, atol=1e-6 * max(1, logits), rtol=0)
        assert maps.abs().max() > 0


def test_the_network_stays_as_it_was(network: nn.Module, images: Tensor) -> None:
    network.train()
    next(network.children()).eval()
    for parameter in list(network.parameters())[::2]:
        parameter.grad = torch.ones_like(parameter)
        parameter.requires_grad_(False)

    def state() -> list[object]:
        modules = [(m.training, len(m._forward_hooks), len(m._backward_hooks)) for m in network.modules()]
        return [*modules, *(None if p.grad is None else p.grad.sum().item() for p in network.parameters())]

    before, tensors = state(), {name: value.clone() for name, value in network.state_dict().items()}
    for method in applicable_methods(network):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Explainer(network, method)(images[:2], one_hot([0, 1]))
        assert state() == before, method
        assert all(torch.equal(value, tensors[name]) for name, value in network.state_dict().items())
        assert not images.requires_grad
    with pytest.raises(RuntimeError):
        Explainer(network, "gradcam")(torch.zeros(1, 3, 28, 28), one_hot([0]))
    assert state() == before


def test_dropout_and_normalisation_are_those_of_evaluation(images: Tensor) -> None:
    torch.manual_seed(0)
    explainer = Explainer(MLP((16,), dropout=0.5, batch_norm=True), "integrated-gradients")
    maps = explainer(images[:3], one_hot([0, 1, 2]))
    torch.testing.assert_close(maps[:1], explainer(images[:1], one_hot([0])), atol=1e-6, rtol=1e-4)


def test_frozen_weights_inference_mode_and_memory_format_do_not_matter(
    cnn: nn.Module, images: Tensor
) -> None:
    images, coefficients, explainer = images[:8], one_hot(range(8)), Explainer(cnn, "gradcam")
    expected = explainer(images, coefficients)
    cnn.requires_grad_(False)
    with torch.inference_mode():
        assert torch.equal(explainer(images, coefficients), expected)
    cnn.to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(explainer(images, coefficients), expected, atol=1e-6, rtol=1e-4)


def test_the_layer_can_be_chosen_and_must_be_where_the_network_names_none(
    cnn: nn.Module, images: Tensor
) -> None:
    assert Explainer(cnn, "gradcam").layer == "stages"
    explainer = Explainer(cnn, "gradcam", layer="stages.0")
    assert explainer(images[:1], one_hot([0])).shape == (1, 13, 13)
    with pytest.raises(InputError, match=r"--layer pool: has no map; layers with one are stem \(27 x 27\)"):
        Explainer(cnn, "gradcam", layer="pool")
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10))
    with pytest.raises(InputError, match="--layer: must be given for Sequential; layers with one are 0"):
        Explainer(network, "gradcam")
    assert Explainer(network, "gradcam", layer="1").layer == "1"
