"""LeNet-5 layer by layer."""

import torch
from torch import nn

from fmnist.models.layers import multiply_adds, parameter_count
from fmnist.models.lenet5 import LeNet5, LitLeNet5


def test_parameters_and_multiply_adds() -> None:
    assert parameter_count(LeNet5()) == 61_706
    dense = 400 * 120 + 120 * 84 + 84 * 10
    assert multiply_adds(LeNet5()) == 6 * 25 * 28 * 28 + 16 * 6 * 25 * 10 * 10 + dense


def test_layers_are_those_of_the_paper_in_order() -> None:
    shapes = [tuple(p.shape) for p in LeNet5().parameters() if p.ndim > 1]
    assert shapes == [(6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84)]
    kinds = [type(module) for module in LeNet5().body if not isinstance(module, nn.Flatten)][1:]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.AvgPool2d] * 2 + [nn.Linear, nn.ReLU] * 2


def test_features_are_the_layer_of_84() -> None:
    assert LeNet5().features(torch.rand(3, 1, 28, 28)).shape == (3, 84)


def test_module_trains_it() -> None:
    model = LitLeNet5(optimizer="adam")
    assert isinstance(model.network, LeNet5)
    assert model.hparams["optimizer"] == "adam"
