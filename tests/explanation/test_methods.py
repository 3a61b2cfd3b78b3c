"""The methods against closed forms, and against the library grad-cam."""

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM, HiResCAM, LayerCAM
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from fmnist.explanation.attribution import Explainer, to_door, upsample
from fmnist.explanation.methods import STRIDE, WINDOW

LIBRARY: dict[str, type[BaseCAM]] = {"gradcam": GradCAM, "hirescam": HiResCAM, "layercam": LayerCAM}


def signs(classes: list[int]) -> Tensor:
    return nn.functional.one_hot(torch.tensor(classes), 10).float()


class Pooled(nn.Module):
    """Convolution, ReLU, global mean, linear: its Grad-CAM is known in closed form."""

    cam_layer = "relu"

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.head = nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Linear(5, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.relu(self.conv(images)).mean((2, 3)))


class Linear(nn.Module):
    """Logits that are linear in the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(784, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.flatten(1))

    def weights(self, label: int) -> Tensor:
        return self.head.weight[label].detach().view(28, 28)


@pytest.fixture
def linear() -> Linear:
    torch.manual_seed(0)
    return Linear()


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
def test_the_analytic_map(method: str) -> None:
    torch.manual_seed(0)
    network, images = Pooled(), torch.rand(20, 1, 28, 28)
    activations = network.relu(network.conv(images)).detach()  # (20, 5, 26, 26)
    for label in range(10):
        weights = network.head.weight[label].detach()
        expected = torch.einsum("k,nkhw->nhw", weights, activations).relu() / 26**2
        maps = Explainer(network, method)(images, signs([label] * 20))
        torch.testing.assert_close(maps, expected, atol=1e-5 * expected.max().item(), rtol=1e-5)


def test_a_contrast_is_the_map_of_the_difference_of_two_heads() -> None:
    torch.manual_seed(0)
    network, images = Pooled(), torch.rand(4, 1, 28, 28)
    activations = network.relu(network.conv(images)).detach()
    weights = (network.head.weight[6] - network.head.weight[0]).detach()
    expected = torch.einsum("k,nkhw->nhw", weights, activations).relu() / 26**2
    maps = Explainer(network)(images, signs([6] * 4) - signs([0] * 4))
    torch.testing.assert_close(maps, expected, atol=1e-8, rtol=1e-5)


@pytest.mark.parametrize("method", LIBRARY)
def test_maps_are_those_of_the_library(method: str, network: nn.Module, pixels: np.ndarray) -> None:
    images, explainer = to_door(pixels), Explainer(network, method)
    assert explainer.layer is not None
    with LIBRARY[method](network, [network.get_submodule(explainer.layer)]) as library:
        drawn = 0
        for label in range(10):
            targets = [ClassifierOutputTarget(label)] * len(images)
            scaled = library(images, targets)  # (100, 28, 28)
            activations = library.activations_and_grads.activations[0].numpy()
            gradients = library.activations_and_grads.gradients[0].numpy()
            raw = library.get_cam_image(images, None, targets, activations, gradients, False).clip(min=0)
            maps = explainer(images, signs([label] * len(images)))
            peaks = np.abs(raw).max((1, 2), keepdims=True)
            assert (np.abs(maps.numpy() - raw) <= 1e-4 * peaks + 1e-9).all()
            there = peaks.ravel() > 1e-6
            drawn += there.sum()
            normalised = torch.from_numpy(
                scale_cam_image(maps.numpy())
            )  # as the library does, before and after
            large = scale_cam_image(upsample(normalised).numpy())
            np.testing.assert_allclose(large[there], scaled[there], atol=1e-3)
    assert drawn > 300  # of 1,000: most classes have some evidence


def test_guided_grad_cam_is_the_cam_times_the_guided_gradient(lenet5: nn.Module, pixels: np.ndarray) -> None:
    from pytorch_grad_cam.guided_backprop import GuidedBackpropReLUasModule
    from pytorch_grad_cam.utils.find_layers import replace_all_layer_type_recursive

    images, asked = to_door(pixels[:5]), signs([1, 2, 3, 4, 5])
    maps = Explainer(lenet5, "guided-gradcam")(images, asked)
    cams = upsample(Explainer(lenet5, "gradcam")(images, asked))
    replace_all_layer_type_recursive(lenet5, nn.ReLU, GuidedBackpropReLUasModule())
    inputs = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((lenet5(inputs) * asked).sum(), inputs)
    torch.testing.assert_close(maps, cams * gradient[:, 0], atol=1e-7, rtol=1e-4)


def test_integrated_gradients_are_complete(network: nn.Module, pixels: np.ndarray) -> None:
    images, asked = to_door(pixels[:8]), signs(list(range(8)))
    maps = Explainer(network, "integrated-gradients")(images, asked)
    with torch.no_grad():
        change = ((network(images) - network(torch.zeros_like(images))) * asked).sum(1)
    torch.testing.assert_close(maps.sum((1, 2)), change, atol=0.05 * change.abs().max().item(), rtol=0)


def test_integrated_gradients_of_a_linear_network(linear: Linear, pixels: np.ndarray) -> None:
    images = to_door(pixels[:3])
    maps = Explainer(linear, "integrated-gradients")(images, signs([4] * 3))
    torch.testing.assert_close(maps, images[:, 0] * linear.weights(4), atol=1e-6, rtol=1e-4)


def test_smooth_grad_of_a_linear_network_is_its_weights(linear: Linear, pixels: np.ndarray) -> None:
    maps = Explainer(linear, "smoothgrad")(to_door(pixels[:3]), signs([4] * 3))
    torch.testing.assert_close(maps, linear.weights(4).abs().expand(3, 28, 28))


def test_smooth_grad_has_a_random_state_of_its_own(cnn: nn.Module, pixels: np.ndarray) -> None:
    maps = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        maps.append(Explainer(cnn, "smoothgrad")(to_door(pixels[:2]), signs([4] * 2)))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*maps)


def test_occlusion_of_a_linear_network_is_the_mean_drop_of_the_windows(
    linear: Linear, pixels: np.ndarray
) -> None:
    images = to_door(pixels[:2])
    maps = Explainer(linear, "occlusion")(images, signs([4] * 2))
    products = images[:, 0] * linear.weights(4)
    drops, covers = torch.zeros(2, 28, 28), torch.zeros(28, 28)
    for top in range(0, 28 - WINDOW + 1, STRIDE):
        for left in range(0, 28 - WINDOW + 1, STRIDE):
            window = (slice(None), slice(top, top + WINDOW), slice(left, left + WINDOW))
            drops[window] += products[window].sum((1, 2), keepdim=True)
            covers[window[1:]] += 1
    torch.testing.assert_close(maps, drops / covers, atol=1e-5, rtol=1e-4)
