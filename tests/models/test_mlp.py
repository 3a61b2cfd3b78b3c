"""The perceptron's layers and its Lightning module."""

import itertools

import pytest
import torch
from torch import nn

from fmnist.models.layers import parameter_count
from fmnist.models.mlp import MLP, LitMLP


@pytest.mark.parametrize("widths", [(), (7,), (512, 256), (8, 8, 8)])
def test_parameters_equal_the_closed_form(widths: tuple[int, ...]) -> None:
    sizes = [784, *widths, 10]
    expected = sum(inputs * outputs + outputs for inputs, outputs in itertools.pairwise(sizes))
    assert parameter_count(MLP(widths)) == expected


def test_batch_norm_takes_the_place_of_the_bias() -> None:
    # the normalisation's own shift replaces it, and its scale comes on top
    assert parameter_count(MLP((16,), batch_norm=True)) == 784 * 16 + 2 * 16 + 16 * 10 + 10


def test_features_are_the_last_hidden_layer() -> None:
    features = MLP((16, 12)).features(torch.rand(3, 1, 28, 28))
    assert features.shape == (3, 12)
    assert features.min() >= 0
    assert MLP(()).features(torch.rand(3, 1, 28, 28)).shape == (3, 784)


def test_dropout_works_in_training_alone() -> None:
    network, images = MLP((64,), dropout=0.5), torch.rand(2, 1, 28, 28)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_module_passes_its_arguments_on() -> None:
    model = LitMLP([12, 6], dropout=0.3, batch_norm=True, learning_rate=0.5)
    assert parameter_count(model.network) == parameter_count(MLP((12, 6), batch_norm=True))
    assert [layer.p for layer in model.network.modules() if isinstance(layer, nn.Dropout)] == [0.3, 0.3]
    assert model.hparams["widths"] == [12, 6]
    assert model.hparams["learning_rate"] == 0.5
