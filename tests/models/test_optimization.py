"""Schedules in closed form, and which parameters each optimiser gets."""

import itertools
import math
from typing import get_args

import pytest
import torch
from torch import nn

from fmnist.models.lenet5 import LeNet5
from fmnist.models.mlp import MLP
from fmnist.models.muon import Muon
from fmnist.models.optimization import OptimizerName, ScheduleName, build_optimizer, schedule_factor

SCHEDULES = get_args(ScheduleName)
OPTIMIZERS = get_args(OptimizerName)
WARMUP = 0.2


@pytest.mark.parametrize(
    ("name", "progress", "expected"),
    [
        *(("constant", 0.0, 0.0), ("constant", 0.1, 0.5), ("constant", 0.2, 1.0), ("constant", 1.0, 1.0)),
        *(("linear", 0.1, 0.5), ("linear", 0.2, 1.0), ("linear", 0.6, 0.5), ("linear", 1.0, 0.0)),
        *(("cosine", 0.1, 0.5), ("cosine", 0.2, 1.0), ("cosine", 0.4, (1 + math.sqrt(0.5)) / 2)),
        *(("cosine", 0.6, 0.5), ("cosine", 1.0, 0.0), ("onecycle", 0.0, 1 / 25), ("onecycle", 0.2, 1.0)),
        *(("onecycle", 0.1, (1 + 1 / 25) / 2), ("onecycle", 0.6, (1 + 1e-5) / 2), ("onecycle", 1.0, 1e-5)),
    ],
)
def test_closed_forms(name: ScheduleName, progress: float, expected: float) -> None:
    assert schedule_factor(name, progress, WARMUP) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [0.0, 0.2, 1.0])
def test_schedules_are_continuous_and_stay_within_the_peak(name: ScheduleName, warmup: float) -> None:
    values = [schedule_factor(name, step / 1000, warmup) for step in range(1001)]
    assert max(values) == pytest.approx(1.0, abs=1e-9)
    assert min(values) >= 0
    assert max(abs(b - a) for a, b in itertools.pairwise(values)) <= 0.0101
    rise = round(1000 * warmup)
    assert values[: rise + 1] == sorted(values[: rise + 1])
    assert values[rise:] == sorted(values[rise:], reverse=True)


@pytest.mark.parametrize("name", SCHEDULES)
def test_beyond_the_end_the_last_value_stays(name: ScheduleName) -> None:
    assert schedule_factor(name, 1.5, WARMUP) == pytest.approx(schedule_factor(name, 1.0, WARMUP), abs=1e-12)


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


def test_names_give_their_optimisers() -> None:
    network = MLP([8])
    kinds = {name: type(build_optimizer(network, name, 0.1, 0.0, 0.9)) for name in OPTIMIZERS}
    optim = torch.optim
    assert kinds == {"adam": optim.Adam, "adamw": optim.AdamW, "sgd": optim.SGD, "muon": Muon}
    (group, _) = build_optimizer(network, "sgd", 0.1, 0.0, 0.8).param_groups
    assert (group["lr"], group["momentum"], group["nesterov"]) == (0.1, 0.8, True)
    assert build_optimizer(network, "adamw", 0.1, 0.0, 0.7).param_groups[0]["betas"][0] == 0.7
    assert not build_optimizer(network, "sgd", 0.1, 0.0, 0.0).param_groups[0]["nesterov"]


def test_muon_leaves_vectors_and_the_head_to_adamw() -> None:
    network = LeNet5()
    matrices, rest = build_optimizer(network, "muon", 0.05, 0.0, 0.95, adam_learning_rate=2e-3).param_groups
    head = {id(parameter) for parameter in network.head.parameters()}
    assert matrices["use_muon"]
    assert not rest["use_muon"]
    assert (matrices["lr"], matrices["momentum"], rest["lr"]) == (0.05, 0.95, 2e-3)
    assert all(p.ndim > 1 and id(p) not in head for p in matrices["params"])
    assert head < {id(parameter) for parameter in rest["params"]}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("frozen", [False, True])
def test_every_trainable_parameter_is_in_one_group(name: OptimizerName, frozen: bool) -> None:
    network = LeNet5()
    network.body.requires_grad_(not frozen)
    optimizer = build_optimizer(network, name, 0.1, 0.01, 0.9)
    grouped = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    trained = network.head if frozen else network
    assert sorted(grouped) == sorted(map(id, trained.parameters()))


def test_the_head_of_any_network_is_its_last_linear_layer() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Conv2d(1, 1, 3))
    matrices, rest = build_optimizer(network, "muon", 0.1, 0.0, 0.9).param_groups
    assert [p.shape for p in matrices["params"]] == [(4, 3), (1, 1, 3, 3)]
    assert any(p is network[1].weight for p in rest["params"])
    build_optimizer(nn.Conv2d(1, 1, 3), "muon", 0.1, 0.0, 0.9)  # there need not be any
