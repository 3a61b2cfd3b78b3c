"""Schedules in closed form, and which parameters each optimiser gets."""

import math
from typing import get_args

import pytest
import torch
from torch import nn

from fmnist.models.lenet5 import LeNet5
from fmnist.models.mlp import MLP
from fmnist.models.optimization import OptimizerName, ScheduleName, build_optimizer, schedule_factor

OPTIMIZERS = get_args(OptimizerName)
WARMUP = 0.2


@pytest.mark.parametrize(
    ("name", "progress", "expected"),
    [
        *(("constant", 0.0, 0.0), ("constant", 0.1, 0.5), ("constant", 0.2, 1.0), ("constant", 1.0, 1.0)),
        *(("linear", 0.1, 0.5), ("linear", 0.2, 1.0), ("linear", 0.6, 0.5), ("linear", 1.5, 0.0)),
        *(("cosine", 0.1, 0.5), ("cosine", 0.2, 1.0), ("cosine", 0.4, (1 + math.sqrt(0.5)) / 2)),
        *(("cosine", 0.6, 0.5), ("cosine", 1.0, 0.0), ("onecycle", 0.0, 1 / 25), ("onecycle", 0.2, 1.0)),
        *(("onecycle", 0.1, (1 + 1 / 25) / 2), ("onecycle", 0.6, (1 + 1e-5) / 2), ("onecycle", 1.5, 1e-5)),
    ],
)
def test_closed_forms(name: ScheduleName, progress: float, expected: float) -> None:
    assert schedule_factor(name, progress, WARMUP) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["constant", "linear", "cosine", "onecycle"])
def test_the_peak_is_reached_without_a_rise_or_without_a_fall(name: ScheduleName) -> None:
    assert schedule_factor(name, 0.0, warmup=0.0) == schedule_factor(name, 1.0, warmup=1.0) == 1


def test_onecycle_equals_torch() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    steps = 41
    expected = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=steps, pct_start=0.25, div_factor=25, final_div_factor=1e5 / 25
    )
    # torch puts the peak at step pct_start * total - 1 and the end at total - 1
    warmup = (0.25 * steps - 1) / (steps - 1)
    for step in range(steps):
        factor = schedule_factor("onecycle", step / (steps - 1), warmup)
        assert factor == pytest.approx(expected.get_last_lr()[0], abs=1e-9)
        if step < steps - 1:
            optimizer.step()
            expected.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_biases_and_normalisation_do_not_decay(name: OptimizerName) -> None:
    network = MLP([8, 8], batch_norm=True)
    decay = {
        id(parameter): group["weight_decay"]
        for group in build_optimizer(network, name, 0.1, 0.01, 0.9).param_groups
        for parameter in group["params"]
    }
    for parameter in network.parameters():
        if parameter.ndim == 1:
            assert decay[id(parameter)] == 0
    assert decay[id(network.body[5].weight)] == 0.01


def test_momentum_is_nesterovs_of_sgd_and_the_first_beta_of_adam() -> None:
    network = MLP([8])
    (group, _) = build_optimizer(network, "sgd", 0.1, 0.0, 0.8).param_groups
    assert (group["lr"], group["momentum"], group["nesterov"]) == (0.1, 0.8, True)
    assert build_optimizer(network, "adamw", 0.1, 0.0, 0.7).param_groups[0]["betas"][0] == 0.7
    assert not build_optimizer(network, "sgd", 0.1, 0.0, 0.0).param_groups[0]["nesterov"]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("frozen", [False, True])
def test_every_trainable_parameter_is_in_one_group(name: OptimizerName, frozen: bool) -> None:
    network = LeNet5()
    network.body.requires_grad_(not frozen)
    optimizer = build_optimizer(network, name, 0.1, 0.01, 0.9)
    grouped = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    trained = network.head if frozen else network
    assert sorted(grouped) == sorted(map(id, trained.parameters()))


def test_muon_leaves_vectors_and_the_last_linear_layer_to_adamw() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Conv2d(1, 1, 3))
    optimizer = build_optimizer(network, "muon", 0.05, 0.0, 0.95, adam_learning_rate=2e-3)
    matrices, rest = optimizer.param_groups
    assert [p.shape for p in matrices["params"]] == [(4, 3), (1, 1, 3, 3)]
    assert [p.shape for p in rest["params"]] == [(4,), (5, 4), (5,), (1,)]
    assert (matrices["use_muon"], matrices["lr"], matrices["momentum"]) == (True, 0.05, 0.95)
    assert (rest["use_muon"], rest["lr"]) == (False, 2e-3)
    build_optimizer(nn.Conv2d(1, 1, 3), "muon", 0.1, 0.0, 0.9)  # there need not be a linear layer
