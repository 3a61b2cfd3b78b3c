"""Every network alike: shapes, gradients, size, determinism, memory layout, and its module."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fmnist.data import source
from fmnist.models.classifier import Classifier
from fmnist.models.cnn import CNN, LitCNN
from fmnist.models.layers import Normalize, initialize_kaiming, multiply_adds, parameter_count
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
    *_, last = [module for module in network.modules() if isinstance(module, nn.Linear)]
    assert last is network.head
    torch.testing.assert_close(network.head(features), network(images), rtol=0, atol=0)


def test_normalisation_is_inside_and_comes_first(network: nn.Module, images: torch.Tensor) -> None:
    torch.testing.assert_close(Normalize()(images), (images - 0.2860) / 0.3530)
    assert isinstance(next(layer for layer in network.modules() if not list(layer.children())), Normalize)


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
ADDED_CONVOLUTIONS = 9 * (32**2 * 13**2 + 64**2 * 6**2 + 128**2 * 3**2)  # of the residual blocks
RESNET_CONVOLUTIONS = (
    (9 * 16 + 6 * 9 * 16**2) * 28**2
    + (9 * 16 * 32 + 5 * 9 * 32**2 + 16 * 32) * 14**2
    + (9 * 32 * 64 + 5 * 9 * 64**2 + 32 * 64) * 7**2
)


@pytest.mark.parametrize(
    ("network", "parameters", "products"),
    [
        (MLP([]), 784 * 10 + 10, 784 * 10),
        (MLP([16, 8]), 784 * 16 + 16 + 16 * 8 + 8 + 8 * 10 + 10, 784 * 16 + 16 * 8 + 8 * 10),
        # the normalisation's own shift replaces the bias, and its scale is added
        (MLP([16], batch_norm=True), 784 * 16 + 2 * 16 + 16 * 10 + 10, 784 * 16 + 16 * 10),
        (LeNet5(), 61_706, 6 * 25 * 28**2 + 16 * 6 * 25 * 10**2 + 400 * 120 + 120 * 84 + 84 * 10),
        (CNN(), 294_914, CNN_CONVOLUTIONS + 128 * 10),
        (CNN(residual=True), 488_898, CNN_CONVOLUTIONS + ADDED_CONVOLUTIONS + 128 * 10),
        (ResNet(), 272_186, RESNET_CONVOLUTIONS + 64 * 10),
    ],
)
def test_parameters_and_multiply_adds(network: nn.Module, parameters: int, products: int) -> None:
    assert parameter_count(network) == parameters
    assert multiply_adds(network) == products


@pytest.mark.parametrize(
    ("kind", "arguments", "network"),
    [
        (LitMLP, {"widths": [12, 6], "dropout": 0.3, "batch_norm": True}, MLP([12, 6], 0.3, True)),
        (LitLeNet5, {}, LeNet5()),
        (LitCNN, {"stem_width": 8, "widths": (8, 8), "residual": True}, CNN(8, (8, 8), residual=True)),
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


@pytest.mark.real_data
def test_mean_and_deviation_are_those_of_the_training_pixels(real_data: Path) -> None:
    pixels = source.load(real_data).train_images.float() / 255
    assert float(pixels.mean()) == pytest.approx(Normalize.mean, abs=5e-5)
    assert float(pixels.std()) == pytest.approx(Normalize.std, abs=5e-5)


def test_kaiming_deviation_follows_fan_in() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(64, 128, 3), nn.Linear(100, 400))
    initialize_kaiming(network)
    for layer, fan_in in zip(network, (64 * 9, 100), strict=True):
        assert float(layer.weight.detach().std()) == pytest.approx(math.sqrt(2 / fan_in), rel=0.02)
        assert layer.bias.count_nonzero() == 0


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_network_as_it_was(training: bool) -> None:
    network = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(784, 7)).train(training)
    assert multiply_adds(network) == 784 * 7
    assert network.training is training
    assert torch.equal(network[0].running_mean, torch.zeros(1))
