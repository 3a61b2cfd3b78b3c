"""The CNN layer by layer."""

import pytest
import torch
from torch import nn

from fmnist.core.errors import InputError
from fmnist.models.cnn import CNN, LitCNN
from fmnist.models.layers import multiply_adds, parameter_count


def convolutions(stem: int, widths: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return (weights, pixels of the output) of each convolution, in order."""
    found, inputs, side = [(4 * stem + stem, 27)], stem, 27
    for width in widths:
        found += [(9 * inputs * width, side), (9 * width * width, side // 2)]
        inputs, side = width, side // 2
    return found


def test_parameters_and_multiply_adds() -> None:
    weights = sum(count for count, _ in convolutions(24, (32, 64, 128)))
    normalisation = 2 * 2 * (32 + 64 + 128)
    assert parameter_count(CNN()) == weights + normalisation + 128 * 10 + 10 == 294_914
    products = sum(count * side**2 for count, side in convolutions(24, (32, 64, 128))) - 24 * 27**2
    assert multiply_adds(CNN()) == products + 128 * 10


def test_resolution_halves_in_each_stage() -> None:
    network = CNN(8, (8, 12, 16)).eval()
    maps = network.stem(torch.rand(2, 1, 28, 28))
    assert maps.shape == (2, 8, 27, 27)
    for stage, shape in zip(network.stages, [(8, 13, 13), (12, 6, 6), (16, 3, 3)], strict=True):
        maps = stage(maps)
        assert maps.shape[1:] == shape


def test_features_are_the_maxima_of_the_last_maps() -> None:
    network, images = CNN().eval(), torch.rand(3, 1, 28, 28)
    maps = network.stages(network.stem(images))
    torch.testing.assert_close(network.features(images), maps.amax((2, 3)))


def test_pooling_follows_the_first_convolution_of_a_stage() -> None:
    kinds = [type(module) for module in CNN().stages[0]]
    half = [nn.BatchNorm2d, nn.GELU]
    assert kinds == [nn.Conv2d, nn.MaxPool2d, *half, nn.Conv2d, *half]


def test_module_trains_it() -> None:
    model = LitCNN(stem_width=8, widths=(8, 8))
    assert isinstance(model.network, CNN)
    assert model.network.head.in_features == 8


@pytest.mark.parametrize(
    ("stem", "widths", "said"),
    [
        (0, (8,), "--model.stem_width 0: must be at least 1"),
        (8, (8, -1), "--model.widths 8, -1: must be at least 1"),
        (8, (), "--model.widths of 0 stages: must be 1 to 4"),
        (8, (8,) * 5, "--model.widths of 5 stages: must be 1 to 4"),
    ],
)
def test_sizes_that_make_no_network_are_refused(stem: int, widths: tuple[int, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        CNN(stem, widths)
