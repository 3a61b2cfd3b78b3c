"""Normalisation, initialisation, and counts of parameters and multiply-adds."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from fmnist.data import source
from fmnist.models.layers import Normalize, initialize_kaiming, multiply_adds, parameter_count


def test_normalize_shifts_by_the_mean_and_divides_by_the_standard_deviation() -> None:
    images = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Normalize()(images), (images - 0.2860) / 0.3530)
    assert not Normalize().state_dict()


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


def test_parameter_count_leaves_out_what_is_frozen() -> None:
    network = nn.Sequential(nn.Linear(3, 5), nn.Linear(5, 2))
    assert parameter_count(network) == 3 * 5 + 5 + 5 * 2 + 2
    network[0].requires_grad_(False)
    assert parameter_count(network) == 5 * 2 + 2


@pytest.mark.parametrize("training", [True, False])
def test_multiply_adds_equal_the_closed_form(training: bool) -> None:
    layers = [
        nn.Conv2d(1, 6, 5, padding=2),
        nn.AvgPool2d(2),
        nn.BatchNorm2d(6),
        nn.Flatten(),
        nn.Linear(6 * 14 * 14, 7),
    ]
    network = nn.Sequential(*layers).train(training)
    assert multiply_adds(network) == 6 * 25 * 28 * 28 + 6 * 14 * 14 * 7
    assert network.training is training
    assert torch.equal(network[2].running_mean, torch.zeros(6))
    assert multiply_adds(nn.Linear(3, 4), torch.zeros(1, 3)) == 12
