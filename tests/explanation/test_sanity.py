"""The randomisation test: layers in order, a copy that is randomised, rank correlations."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from fmnist.core.errors import InputError
from fmnist.explanation.sanity import cascade, layers_from_head, randomise, rank_correlation

SIGNS = np.eye(10, dtype=np.float32)[np.arange(5)]


def test_rank_correlation_is_scipys() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(2, 5, 28, 28))
    other[1:3] += one[1:3]
    one[2, :10] = 0  # ties
    expected = [spearmanr(abs(a).ravel(), abs(b).ravel()).statistic for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(rank_correlation(one, other), expected, atol=1e-12)
    np.testing.assert_allclose(rank_correlation(one, -2 * one), 1)


def test_an_empty_map_is_like_nothing() -> None:
    maps = np.random.default_rng(0).random((2, 28, 28))
    empty = np.zeros_like(maps)
    np.testing.assert_array_equal(rank_correlation(maps, empty), 0)
    np.testing.assert_array_equal(rank_correlation(empty, empty), 0)


def test_layers_come_from_the_head_with_their_norms(cnn: nn.Module, lenet5: nn.Module) -> None:
    layers = layers_from_head(cnn)
    assert [name for name, _ in layers] == [
        "head",
        "stages.1.4",
        "stages.1.0",
        "stages.0.4",
        "stages.0.0",
        "stem.1",
    ]
    assert [type(module).__name__ for module in layers[1][1]] == ["Conv2d", "BatchNorm2d"]
    assert [name for name, _ in layers_from_head(lenet5)] == ["head", "body.10", "body.8", "body.4", "body.1"]


def test_every_weight_is_in_some_layer(network: nn.Module) -> None:
    held = [p for _, modules in layers_from_head(network) for module in modules for p in module.parameters()]
    assert {id(p) for p in held} == {id(p) for p in network.parameters()}


def test_randomising_draws_anew_and_repeatably(cnn: nn.Module) -> None:
    (_, modules), before = layers_from_head(cnn)[1], torch.get_rng_state()
    old = modules[0].weight.clone()
    randomise(modules, seed=1)
    first = modules[0].weight.clone()
    randomise(modules, seed=2)
    assert not torch.equal(modules[0].weight, first)
    randomise(modules, seed=1)
    assert torch.equal(modules[0].weight, first)
    assert not torch.equal(first, old)
    assert (modules[1].running_mean == 0).all()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_cascade(lenet5: nn.Module, pixels: np.ndarray) -> None:
    before = {name: value.clone() for name, value in lenet5.state_dict().items()}
    layers, similarity = cascade(lenet5, ["gradcam", "smoothgrad"], pixels[:5], SIGNS)
    assert layers == ["head", "body.10", "body.8", "body.4", "body.1"]
    assert {name: values.shape for name, values in similarity.items()} == {
        "gradcam": (5, 5),
        "smoothgrad": (5, 5),
    }
    assert all((np.abs(values) <= 1 + 1e-9).all() for values in similarity.values())
    assert similarity["smoothgrad"].mean() < 0.9
    assert all(torch.equal(value, before[name]) for name, value in lenet5.state_dict().items())


def test_a_map_of_the_image_alone_stays_alike(pixels: np.ndarray) -> None:
    class Sum(nn.Module):
        """Logits that are sums of pixels, whatever the weights, up to a factor."""

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(1, 10)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(images.sum((1, 2, 3))[:, None])

    _, similarity = cascade(Sum(), ["integrated-gradients"], pixels[:5], SIGNS)
    np.testing.assert_allclose(similarity["integrated-gradients"], 1, atol=1e-3)


def test_nothing_to_randomise_is_said(pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match="--sanity: Identity has no layers whose weights can be drawn again"):
        cascade(nn.Identity(), [], pixels[:5], SIGNS)
