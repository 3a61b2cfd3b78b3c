"""Every network alike: shapes, gradients, size, determinism, export, memory layout, and its module."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from fmnist.models.classifier import Classifier
from fmnist.models.cnn import CNN, LitCNN
from fmnist.models.layers import Normalize, multiply_adds, parameter_count
from fmnist.models.lenet5 import LeNet5, LitLeNet5
from fmnist.models.mlp import MLP, LitMLP
from fmnist.models.resnet import LitResNet, ResNet

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": lambda: MLP([64, 32]),
    "mlp, batch norm and dropout": lambda: MLP([64], dropout=0.2, batch_norm=True),
    "lenet5": LeNet5,
    "cnn": CNN,
    "resnet-8": lambda: ResNet(8),
    "wrn-10-1": lambda: ResNet(10, 16, "preactivation", dropout=0.1),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    """Build a network in evaluation mode, its weights seeded."""
    torch.manual_seed(0)
    return NETWORKS[request.param]().eval()


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Images as models take them, float32 (8, 1, 28, 28) in [0, 1]."""
    return torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_logits_are_finite_and_repeatable(network: nn.Module, images: torch.Tensor) -> None:
    logits = network(images)
    assert logits.shape == (8, 10)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert logits.std() > 1e-3
    assert torch.equal(network(images), logits)


@torch.no_grad()
def test_head_of_features_is_the_forward_pass(network: nn.Module, images: torch.Tensor) -> None:
    features = network.features(images)
    assert features.ndim == 2
    assert isinstance(network.head, nn.Linear)
    torch.testing.assert_close(network.head(features), network(images), rtol=0, atol=0)


@torch.no_grad()
def test_an_image_does_not_depend_on_its_batch(network: nn.Module, images: torch.Tensor) -> None:
    torch.testing.assert_close(network(images[3:4]), network(images)[3:4], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_channels_last_equals_contiguous(network: nn.Module, images: torch.Tensor) -> None:
    expected = network(images)
    try:
        network.to(memory_format=torch.channels_last)
        found = network(images.contiguous(memory_format=torch.channels_last))
    finally:
        network.to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_normalisation_is_inside_and_comes_first(network: nn.Module, images: torch.Tensor) -> None:
    seen = []
    layers = [module for module in network.modules() if not list(module.children())]
    hooks = [
        layer.register_forward_pre_hook(lambda layer, inputs: seen.append((layer, inputs[0])))
        for layer in layers
    ]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    assert isinstance(seen[0][0], Normalize)
    torch.testing.assert_close(seen[1][1].view(8, 1, 28, 28), (images - 0.2860) / 0.3530)


def test_export_keeps_the_logits(network: nn.Module, images: torch.Tensor) -> None:
    batch = {"images": {0: torch.export.Dim("batch", min=1)}}
    exported = torch.export.export(network, (images,), dynamic_shapes=batch).module()
    torch.testing.assert_close(exported(images[:3]), network(images[:3]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_gets_a_gradient(name: str, images: torch.Tensor) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]().train()
    nn.functional.cross_entropy(network(images), torch.arange(8)).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.count_nonzero(), parameter_name


CNN_CONVOLUTIONS = (
    4 * 24 * 27**2
    + (9 * 24 * 32 * 27**2 + 9 * 32**2 * 13**2)
    + (9 * 32 * 64 * 13**2 + 9 * 64**2 * 6**2)
    + (9 * 64 * 128 * 6**2 + 9 * 128**2 * 3**2)
)


@pytest.mark.parametrize(
    ("network", "parameters", "products"),
    [
        (MLP([]), 784 * 10 + 10, 784 * 10),
        (MLP([7]), 784 * 7 + 7 + 7 * 10 + 10, 784 * 7 + 7 * 10),
        (MLP([16, 8]), 784 * 16 + 16 + 16 * 8 + 8 + 8 * 10 + 10, 784 * 16 + 16 * 8 + 8 * 10),
        # the normalisation's own shift replaces the bias, and its scale is added
        (MLP([16], batch_norm=True), 784 * 16 + 2 * 16 + 16 * 10 + 10, 784 * 16 + 16 * 10),
        (LeNet5(), 61_706, 6 * 25 * 28**2 + 16 * 6 * 25 * 10**2 + 400 * 120 + 120 * 84 + 84 * 10),
        (CNN(), 294_914, CNN_CONVOLUTIONS + 128 * 10),
    ],
)
def test_parameters_and_multiply_adds(network: nn.Module, parameters: int, products: int) -> None:
    assert parameter_count(network) == parameters
    assert multiply_adds(network) == products


@pytest.mark.parametrize("name", NETWORKS)
def test_the_head_is_the_last_layer(name: str) -> None:
    network = NETWORKS[name]()
    *_, last = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert last is network.head
    assert last.out_features == 10


@pytest.mark.parametrize(
    ("kind", "arguments", "network"),
    [
        (LitMLP, {"widths": [12, 6], "dropout": 0.3, "batch_norm": True}, MLP([12, 6], 0.3, True)),
        (LitLeNet5, {}, LeNet5()),
        (LitCNN, {"stem_width": 8, "widths": (8, 8)}, CNN(8, (8, 8))),
        (
            LitResNet,
            {"depth": 10, "width": 8, "block": "preactivation", "dropout": 0.2},
            ResNet(10, 8, "preactivation", 0.2),
        ),
    ],
)
def test_the_module_builds_the_network_with_its_arguments(
    kind: type[Classifier], arguments: dict[str, Any], network: nn.Module
) -> None:
    model = kind(**arguments, learning_rate=0.5, optimizer="adam")
    assert repr(model.network) == repr(network)  # every layer with its sizes
    assert {name: model.hparams[name] for name in arguments} == arguments
    assert (model.hparams["learning_rate"], model.hparams["optimizer"]) == (0.5, "adam")
    for parameter in model.network.parameters():
        assert parameter.ndim < 4 or parameter.is_contiguous(memory_format=torch.channels_last)
