"""The randomisation test: layers in order, a copy that is randomised, rank correlations."""

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from fmnist.explanation.attribution import Explainer
from fmnist.explanation.sanity import cascade, layers_from_head, randomise, rank_correlation

COEFFICIENTS = np.eye(10, dtype=np.float32)[:5]
LAYERS = ["head", "stages.1.4", "stages.1.0", "stages.0.4", "stages.0.0", "stem.1"]


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


def test_layers_come_from_the_head_with_their_norms(cnn: nn.Module) -> None:
    layers = layers_from_head(cnn)
    assert [name for name, _ in layers] == LAYERS
    assert [type(module).__name__ for module in layers[1][1]] == ["Conv2d", "BatchNorm2d"]
    held = [parameter for _, modules in layers for module in modules for parameter in module.parameters()]
    assert {id(parameter) for parameter in held} == {id(parameter) for parameter in cnn.parameters()}


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


def test_the_cascade_randomises_a_copy(cnn: nn.Module, pixels: np.ndarray) -> None:
    before = {name: value.clone() for name, value in cnn.state_dict().items()}
    explainers = [Explainer(cnn, name) for name in ("gradcam", "smoothgrad")]
    layers, similarity = cascade(explainers, pixels[:5], COEFFICIENTS)
    assert layers == LAYERS
    assert similarity["gradcam"].shape == (6, 5)
    assert similarity["smoothgrad"].mean() < 0.9
    assert all(torch.equal(value, before[name]) for name, value in cnn.state_dict().items())


def test_a_map_of_the_image_alone_stays_alike(pixels: np.ndarray) -> None:
    class Sum(nn.Module):
        """Logits that are sums of pixels, whatever the weights, up to a factor."""

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(1, 10)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(images.sum((1, 2, 3))[:, None])

    _, similarity = cascade([Explainer(Sum(), "integrated-gradients")], pixels[:5], COEFFICIENTS)
    np.testing.assert_allclose(similarity["integrated-gradients"], 1, atol=1e-3)
