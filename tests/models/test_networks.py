"""Every network alike: shapes, gradients, determinism, export, memory layout."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from fmnist.models.cnn import CNN
from fmnist.models.layers import Normalize
from fmnist.models.lenet5 import LeNet5
from fmnist.models.mlp import MLP
from fmnist.models.resnet import ResNet

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
    """Images as they come to a model's door, float32 (8, 1, 28, 28) in [0, 1]."""
    return torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_logits_are_finite_and_repeatable(network: nn.Module, images: torch.Tensor) -> None:
    logits = network(images)
    assert logits.shape == (8, 10)
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


@torch.no_grad()
def test_state_dict_round_trip(
    network: nn.Module, images: torch.Tensor, request: pytest.FixtureRequest
) -> None:
    copy = NETWORKS[request.node.callspec.params["network"]]().eval()
    assert not torch.equal(copy(images), network(images))
    copy.load_state_dict(network.state_dict())
    assert torch.equal(copy(images), network(images))


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


@pytest.mark.parametrize("name", NETWORKS)
def test_the_head_is_the_last_layer_and_gives_the_classes(name: str) -> None:
    network = NETWORKS[name]()
    *_, (last, _) = network.named_parameters()
    assert last == "head.bias"
    assert network.head.out_features == 10
