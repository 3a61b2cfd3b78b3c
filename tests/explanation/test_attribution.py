"""Attribution maps: closed forms and the library grad-cam, any batch and layer, and an unchanged network."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_grad_cam import GradCAM, HiResCAM, LayerCAM
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.guided_backprop import GuidedBackpropReLUasModule
from pytorch_grad_cam.utils.find_layers import replace_all_layer_type_recursive
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.explanation.attribution import (
    EstimatorNetwork,
    Explainer,
    applicable_methods,
    inapplicable,
    load_network,
    map_sizes,
    upsample,
)
from fmnist.explanation.methods import METHODS, STRIDE, WINDOW
from fmnist.inference.predictor import Predictor
from fmnist.models.loading import load_classifier
from fmnist.models.mlp import MLP
from tests.explanation.conftest import one_hot

LIBRARY: dict[str, type[BaseCAM]] = {"gradcam": GradCAM, "hirescam": HiResCAM, "layercam": LayerCAM}


class Pooled(nn.Module):
    """Convolution, ReLU, global mean, linear: its Grad-CAM is known in closed form."""

    cam_layer = "relu"

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu, self.head = nn.Conv2d(1, 5, 3), nn.ReLU(), nn.Linear(5, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.relu(self.conv(images)).mean((2, 3)))


@pytest.fixture
def linear() -> nn.Sequential:
    """Logits that are linear in the pixels."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def weights_of(linear: nn.Sequential, label: int) -> Tensor:
    return linear[1].weight[label].detach().view(28, 28)


# maps


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
def test_cams_of_a_pooled_network_are_those_of_the_closed_form(method: str) -> None:
    torch.manual_seed(0)
    network, images = Pooled(), torch.rand(20, 1, 28, 28)
    activations = network.relu(network.conv(images)).detach()  # (20, 5, 26, 26)
    rows = [*torch.eye(10), torch.eye(10)[6] - torch.eye(10)[0]]  # every class, and a contrast of two
    for coefficients in rows:
        weights = (coefficients @ network.head.weight).detach()
        expected = torch.einsum("k,nkhw->nhw", weights, activations).relu() / 26**2
        maps = Explainer(network, method)(images, coefficients.expand(20, 10))
        torch.testing.assert_close(maps, expected, atol=1e-5 * expected.max().item(), rtol=1e-5)


@pytest.mark.parametrize("method", LIBRARY)
def test_cams_are_those_of_the_library(method: str, network: nn.Module, images: Tensor) -> None:
    explainer = Explainer(network, method)
    assert explainer.layer is not None
    with LIBRARY[method](network, [network.get_submodule(explainer.layer)]) as library:
        compared = 0
        for label in range(10):
            targets = [ClassifierOutputTarget(label)] * len(images)
            scaled = library(images, targets)  # (100, 28, 28)
            activations = library.activations_and_grads.activations[0].numpy()
            gradients = library.activations_and_grads.gradients[0].numpy()
            raw = library.get_cam_image(images, None, targets, activations, gradients, False).clip(min=0)
            maps = explainer(images, one_hot([label] * len(images)))
            peaks = np.abs(raw).max((1, 2), keepdims=True)
            assert (np.abs(maps.numpy() - raw) <= 1e-4 * peaks + 1e-9).all()
            not_empty = peaks.ravel() > 1e-6
            compared += not_empty.sum()
            normalised = torch.from_numpy(scale_cam_image(maps.numpy()))  # the library does it twice
            large = scale_cam_image(upsample(normalised).numpy())
            np.testing.assert_allclose(large[not_empty], scaled[not_empty], atol=1e-3)
    assert compared > 300  # of 1,000: most classes have some evidence


def test_guided_grad_cam_is_the_cam_times_the_guided_gradient(lenet5: nn.Module, images: Tensor) -> None:
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
    images, coefficients, weights = images[:3], one_hot([4] * 3), weights_of(linear, 4)
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


def test_maps_are_enlarged_bilinearly() -> None:
    large = upsample(torch.tensor([[[0.0, 1.0], [0.0, 1.0]]]))
    across = torch.clamp((torch.arange(28) + 0.5) / 14 - 0.5, 0, 1)  # half-pixel centres
    torch.testing.assert_close(large, across.expand(1, 28, 28))


# what must make no difference, and what must not change


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

    def state() -> tuple[object, ...]:
        modules = list(network.modules())
        hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in modules]
        weights = [(p.grad is None, p.requires_grad) for p in network.parameters()]
        return [m.training for m in modules], hooks, weights

    before, tensors = state(), {name: value.clone() for name, value in network.state_dict().items()}
    inputs = images[:2].clone()
    for method in applicable_methods(network):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            Explainer(network, method)(inputs, one_hot([0, 1]))
        assert state() == before, method
        assert all(torch.equal(value, tensors[name]) for name, value in network.state_dict().items())
        assert all(p.grad is None or (p.grad == 1).all() for p in network.parameters())
        assert not inputs.requires_grad
        assert torch.equal(inputs, images[:2])


def test_the_mode_is_restored_after_an_error(cnn: nn.Module) -> None:
    explainer = Explainer(cnn, "gradcam")
    cnn.train()
    with pytest.raises(RuntimeError):
        explainer(torch.zeros(1, 3, 28, 28), one_hot([0]))
    assert all(module.training for module in cnn.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in cnn.modules())


def test_dropout_and_normalisation_are_those_of_evaluation(images: Tensor) -> None:
    torch.manual_seed(0)
    explainer = Explainer(MLP((16,), dropout=0.5, batch_norm=True), "integrated-gradients")
    maps = explainer(images[:3], one_hot([0, 1, 2]))
    assert torch.equal(maps, explainer(images[:3], one_hot([0, 1, 2])))
    torch.testing.assert_close(maps[:1], explainer(images[:1], one_hot([0])), atol=1e-6, rtol=1e-4)


def test_frozen_weights_inference_mode_and_memory_format_do_not_matter(
    network: nn.Module, images: Tensor
) -> None:
    images, coefficients, explainer = images[:8], one_hot(range(8)), Explainer(network, "gradcam")
    expected = explainer(images, coefficients)
    network.requires_grad_(False)
    assert torch.equal(explainer(images, coefficients), expected)
    with torch.inference_mode():
        assert torch.equal(explainer(images, coefficients), expected)
    network.to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(explainer(images, coefficients), expected, atol=1e-6, rtol=1e-4)


def test_uint8_images_are_explained_in_batches(cnn: nn.Module, images: Tensor, pixels: np.ndarray) -> None:
    explainer, coefficients = Explainer(cnn, "integrated-gradients"), one_hot([3] * 23)  # five at once
    maps = explainer.maps(pixels[:23], coefficients.numpy())
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, explainer(images[:23], coefficients).numpy(), atol=1e-7)


# layers, and which method suits which model


def test_the_layer_can_be_chosen(cnn: nn.Module, images: Tensor) -> None:
    assert Explainer(cnn, "gradcam").layer == "stages"
    explainer = Explainer(cnn, "gradcam", layer="stages.0")
    assert explainer(images[:1], one_hot([0])).shape == (1, 13, 13)
    with pytest.raises(
        InputError, match=re.escape("--layer pool: has no map; layers with one are stem (27 x 27)")
    ):
        Explainer(cnn, "gradcam", layer="pool")
    with pytest.raises(InputError, match=re.escape("stages.1.6 (6 x 6)")):
        Explainer(cnn, "gradcam", layer="nowhere")


def test_a_network_without_cam_layer_needs_the_flag() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10))
    with pytest.raises(
        InputError, match=re.escape("--layer: must be given for Sequential; layers with one are 0")
    ):
        Explainer(network, "gradcam")
    assert Explainer(network, "gradcam", layer="1").layer == "1"


def test_every_network_with_maps_names_its_layer(network: nn.Module) -> None:
    assert getattr(network, "cam_layer") in map_sizes(network)  # noqa: B009
    assert not any(module._forward_hooks for module in network.modules())


def test_an_unsuitable_method_is_refused_and_others_are_offered(cnn: nn.Module) -> None:
    with pytest.raises(InputError, match="--method magic: unknown; must be one of gradcam, hirescam"):
        Explainer(cnn, "magic")
    for method in ("gradcam", "hirescam", "layercam", "guided-gradcam"):
        assert inapplicable(MLP((16,)), method) == (
            f"--method {method}: needs a layer whose output is a map, and MLP has none; "
            "use integrated-gradients, smoothgrad, occlusion"
        )
    reason = inapplicable(cnn, "guided-gradcam")
    assert reason is not None
    assert "changes how nn.ReLU passes gradients back, and CNN has none to change" in reason


def test_an_estimator_can_be_occluded_and_nothing_else(
    estimator_run: Run, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def logits(self: Predictor, images: np.ndarray) -> np.ndarray:
        assert images.dtype == np.uint8
        return images.reshape(len(images), -1).sum(1, dtype=np.float32)[:, None] * np.arange(10)

    monkeypatch.setattr(Predictor, "logits", logits)
    network = load_network(estimator_run)
    assert isinstance(network, EstimatorNetwork)
    maps = Explainer(network, "occlusion")(images[:2], one_hot([0, 1]))
    assert (maps[0] == 0).all()  # class 0 uses no pixel
    assert maps[1].numpy()[8:12, 8:12].min() > 0
    reason = "needs gradients, which a scikit-learn estimator does not have; use occlusion"
    assert inapplicable(network, "gradcam") == f"--method gradcam: {reason}"


def test_the_network_of_a_run_is_loaded_once_it_is_finished(run: Run, tmp_path: Path) -> None:
    network = load_network(run)
    assert type(network).__name__ == "CNN"
    assert not network.training
    with pytest.raises(InputError, match="is stopped, and only a finished run"):
        load_network(Run.create(tmp_path, "half", kind="lightning", status="stopped"))


def test_a_checkpoint_of_a_compiled_network_is_explained_alike(run: Run, images: Tensor) -> None:
    expected = Explainer(load_network(run), "gradcam")(images[:2], one_hot([0, 1]))
    model = load_classifier(run.path)
    model.network.compile(backend="eager")
    torch.save({"state_dict": model.state_dict()}, run.path / "checkpoints" / "best.ckpt")
    assert torch.equal(Explainer(load_network(run), "gradcam")(images[:2], one_hot([0, 1])), expected)
