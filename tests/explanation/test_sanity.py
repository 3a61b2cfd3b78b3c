"""The randomisation test: layers in order, a copy that is randomised, rank correlations."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from fmnist.core.errors import InputError
from fmnist.explanation.sanity import cascade, layers_from_head, randomise, rank_correlation

COEFFICIENTS = np.eye(10, dtype=np.float32)[:5]
CNN_LAYERS = ["head", "stages.1.4", "stages.1.0", "stages.0.4", "stages.0.0", "stem.1"]
LENET5_LAYERS = ["head", "body.10", "body.8", "body.4", "body.1"]


def test_rank_correlation_is_scipys() -> None:
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(2, 5, 28, 28))
    other[1:3] += one[1:3]
    one[2, :10] = 0  # ties
    expected = [spearmanr(abs(a).ravel(), abs(b).ravel()).statistic for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(rank_correlation(one, other), expected, atol=1e-12)
    np.testing.assert_allclose(rank_correlation(one, -2 * one), 1)
    empty = np.zeros_like(one)
    np.testing.assert_array_equal(rank_correlation(one, empty), 0)
    np.testing.assert_array_equal(rank_correlation(empty, empty), 0)


def test_layers_come_from_the_head_with_their_norms(cnn: nn.Module, lenet5: nn.Module) -> None:
    layers = layers_from_head(cnn)
    assert [name for name, _ in layers] == CNN_LAYERS
    assert [type(module).__name__ for module in layers[1][1]] == ["Conv2d", "BatchNorm2d"]
    assert [name for name, _ in layers_from_head(lenet5)] == LENET5_LAYERS


def test_every_weight_is_in_some_layer(network: nn.Module) -> None:
    held = [p for _, modules in layers_from_head(network) for module in modules for p in module.parameters()]
    assert {id(p) for p in held} == {id(p) for p in network.parameters()}


def test_randomising_draws_anew_and_repeatably(cnn: nn.Module) -> None:
    (_, modules), before = layers_from_head(cnn)[1], torch.get_rng_state()
    weights = [modules[0].weight.clone()]
    for seed in (1, 2, 1):
        randomise(modules, seed)
        weights.append(modules[0].weight.clone())
    trained, first, second, again = weights
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, trained)
    assert (modules[1].running_mean == 0).all()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_cascade_randomises_a_copy(lenet5: nn.Module, pixels: np.ndarray) -> None:
    before = {name: value.clone() for name, value in lenet5.state_dict().items()}
    layers, similarity = cascade(lenet5, ["gradcam", "smoothgrad"], pixels[:5], COEFFICIENTS)
    assert layers == LENET5_LAYERS
    assert list(similarity) == ["gradcam", "smoothgrad"]
    for values in similarity.values():
        assert values.shape == (5, 5)
        assert (np.abs(values) <= 1 + 1e-9).all()
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

    _, similarity = cascade(Sum(), ["integrated-gradients"], pixels[:5], COEFFICIENTS)
    np.testing.assert_allclose(similarity["integrated-gradients"], 1, atol=1e-3)


def test_a_network_without_weights_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match="--sanity: Identity has no layers whose weights can be drawn again"):
        cascade(nn.Identity(), [], pixels[:5], COEFFICIENTS)
