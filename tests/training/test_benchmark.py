"""The measurements run and return what they say; how fast anything is, is not tested."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from fmnist.models.lenet5 import LeNet5
from fmnist.models.mlp import LitMLP
from fmnist.training import benchmark


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    original = benchmark.FashionMNISTDataModule

    def small(*args: object, **kwargs: object) -> object:
        return original(*args, **{"val_size": 0, **kwargs})  # type: ignore[arg-type]

    monkeypatch.setattr(benchmark, "FashionMNISTDataModule", small)


def test_loader_speeds(synthetic_root: Path) -> None:
    speeds = benchmark.loader_speeds(str(synthetic_root), batch_size=20, worker_counts=(0,))
    assert speeds.keys() == {"fmnist", "torchvision, 0 workers"}
    assert all(speed > 0 for speed in speeds.values())


def test_images_per_second_leave_the_first_batch_out(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = iter(range(4))
    readings = iter([10.0, 12.0])  # seconds at the start and at the end
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: next(readings))
    assert benchmark._images_per_second(batches, 4, 100) == 3 * 100 / 2
    assert not list(batches)


@pytest.mark.parametrize("bf16", [False, True])
def test_step_speed(bf16: bool) -> None:
    network = LeNet5()
    before = network.head.weight.clone()
    assert benchmark.step_speed(network, "cpu", bf16, batch_size=2) > 0
    assert not torch.equal(network.head.weight, before)


def test_step_speed_counts_the_images_of_the_fastest_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    # pairs of start and end: warm-up, two steps in 0.2 s (so five steps a turn), then 3, 1 and 2 s
    readings = iter([0, 1, 0, 0.2, 0, 3, 0, 1, 0, 2])
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: next(readings))
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    assert benchmark.step_speed(network, "cpu", False, batch_size=4) == pytest.approx(5 * 4 / 1)


def test_lightning_overhead_takes_the_fastest_turns(
    synthetic_root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    times = benchmark.lightning_overhead(
        lambda: LitMLP([8]), str(synthetic_root), "32-true", train_size=512, turns=1
    )
    assert list(times) == ["bare loop", "barebones", "Lightning"]
    assert all(0 < seconds < 60 for seconds in times.values())
    assert not os.listdir(tmp_path)
    bare, barebones, lightning = iter([3.0, 1.0, 2.0]), iter([3.0, 3.5, 2.5]), iter([4.0, 6.0, 5.0])
    monkeypatch.setattr(benchmark, "_bare_epoch", lambda *_: next(bare))
    monkeypatch.setattr(
        benchmark, "_lightning_epoch", lambda *_, **how: next(barebones if how else lightning)
    )
    assert benchmark.lightning_overhead(
        lambda: LitMLP([8]), str(synthetic_root), "32-true", train_size=512, turns=3
    ) == {"bare loop": 1, "barebones": 2.5, "Lightning": 4}
