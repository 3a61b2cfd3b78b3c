"""``scripts/benchmark.py``: its parts run and print figures; how fast anything is, is not tested."""

import functools
import re
from pathlib import Path

import pytest

from fmnist.data import datamodule
from fmnist.models.mlp import LitMLP
from scripts import benchmark


@pytest.fixture(autouse=True)
def _no_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    small = functools.partial(datamodule.FashionMNISTDataModule, val_size=0)
    monkeypatch.setattr(datamodule, "FashionMNISTDataModule", small)


def test_the_loader_is_compared_with_torchvisions(synthetic_root: Path) -> None:
    speeds = benchmark.loader_speeds(str(synthetic_root), batch_size=20, worker_counts=(0,))
    assert speeds.keys() == {"fmnist", "torchvision, 0 workers"}
    assert all(speed > 0 for speed in speeds.values())


def test_a_step_trains(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    step_speed = functools.partial(benchmark.step_speed, batch_size=2)
    monkeypatch.setattr(benchmark, "step_speed", lambda *args: step_speed(*args[:3]))
    benchmark.print_step_speeds("cpu", compiled=False)
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["MLP", "LeNet-5", "CNN", "ResNet-20"]
    assert all(re.search(r" [\d,]+ +[\d,]+$", row) for row in rows)


def test_lightning_is_compared_with_a_bare_loop(synthetic_root: Path) -> None:
    seconds = benchmark.lightning_overhead(
        lambda: LitMLP([8]), str(synthetic_root), "32-true", train_size=512, turns=1
    )
    assert list(seconds) == ["bare loop", "barebones", "Lightning"]
    assert all(0 < value < 60 for value in seconds.values())
