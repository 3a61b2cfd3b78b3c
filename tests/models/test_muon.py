"""Muon against a plain implementation of its definition, and its AdamW groups against torch.optim.AdamW."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fmnist.models.muon import Muon, orthogonalize

SHAPES = [(6, 10), (6, 10), (12, 3), (8, 4, 3, 3)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters(shapes: list[tuple[int, ...]] = SHAPES) -> list[nn.Parameter]:
    random = generator()
    return [nn.Parameter(torch.randn(shape, generator=random)) for shape in shapes]


def descend(weights: list[nn.Parameter], optimizer: torch.optim.Optimizer, steps: range) -> None:
    """Take steps along gradients that are a function of the step's number."""
    for step in steps:
        random = generator(100 + step)
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=random)
        optimizer.step()


def newton_schulz(matrix: Tensor, steps: int = 5) -> Tensor:
    """Orthogonalize one matrix as Jordan et al. (2024) write it."""
    if matrix.size(0) > matrix.size(1):
        return newton_schulz(matrix.T, steps).T
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 8, 40), (3, 40, 8), (2, 1, 9)])
def test_orthogonalization_is_the_published_iteration_of_each_matrix(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=generator()) * 30
    results = orthogonalize(matrices)
    expected = torch.stack([newton_schulz(matrix) for matrix in matrices])
    torch.testing.assert_close(results, expected, rtol=1e-3, atol=2e-3)
    values = torch.linalg.svdvals(results)
    assert values.min() > 0.5
    assert values.max() < 1.3


@pytest.mark.parametrize("shape", [(1, 300, 500), (2, 500, 300), (1, 64, 500)])
def test_large_matrices_may_be_orthogonalized_in_bfloat16(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=generator())
    exact, rounded = orthogonalize(matrices), orthogonalize(matrices, bf16=True)
    assert rounded.dtype == torch.float32
    assert torch.equal(exact, rounded) == (min(shape[1:]) < 256)  # small ones stay in float32
    error = (rounded - exact).norm() / exact.norm()
    assert error < 0.03


@torch.no_grad()
def test_steps_equal_a_plain_implementation() -> None:
    lr, momentum, decay = 0.02, 0.9, 0.1
    weights = parameters()
    # as every network keeps its convolutions
    weights[3].data = weights[3].data.contiguous(memory_format=torch.channels_last)
    expected = [weight.detach().clone() for weight in weights]
    buffers = [torch.zeros_like(weight) for weight in weights]
    optimizer = Muon(weights, lr=lr, momentum=momentum, weight_decay=decay)
    for step in range(4):
        descend(weights, optimizer, range(step, step + 1))
        for weight, buffer, original in zip(expected, buffers, weights, strict=True):
            assert original.grad is not None
            buffer.mul_(momentum).add_(original.grad, alpha=1 - momentum)
            nesterov = momentum * buffer + (1 - momentum) * original.grad
            matrix = nesterov.reshape(len(nesterov), -1)
            scale = max(1, matrix.size(0) / matrix.size(1)) ** 0.5
            weight.mul_(1 - lr * decay).sub_(lr * scale * newton_schulz(matrix).reshape(weight.shape))
        torch.testing.assert_close(list(weights), expected, rtol=1e-3, atol=1e-4)


def test_other_groups_equal_torch_adamw() -> None:
    shapes = [(7,), (3, 5)]
    weights, expected = parameters(shapes), parameters(shapes)
    settings: dict[str, Any] = {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}
    descend(weights, Muon(weights, use_muon=False, **settings), range(6))
    descend(expected, torch.optim.AdamW(expected, **settings), range(6))
    torch.testing.assert_close(weights, expected, rtol=1e-5, atol=1e-6)


def test_state_dict_round_trip_gives_the_same_next_step() -> None:
    def build(weights: list[nn.Parameter]) -> Muon:
        return Muon([{"params": weights[:2]}, {"params": weights[2:], "lr": 1e-2, "use_muon": False}])

    weights = parameters([(4, 6), (6, 4), (5,)])
    optimizer = build(weights)
    descend(weights, optimizer, range(3))
    copies = copy.deepcopy(weights)
    restored = build(copies)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    descend(weights, optimizer, range(3, 5))
    descend(copies, restored, range(3, 5))
    torch.testing.assert_close(copies, weights, rtol=0, atol=0)


def test_a_parameter_without_gradient_stays() -> None:
    weights = parameters([(4, 6), (4, 6)])
    before = weights[1].detach().clone()
    weights[0].grad = torch.ones(4, 6)
    Muon(weights, weight_decay=0.1).step()
    assert torch.equal(weights[1], before)


def test_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="at least two dimensions"):
        Muon([nn.Parameter(torch.zeros(3))])
