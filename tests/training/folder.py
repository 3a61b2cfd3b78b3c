"""What several tests read from a run folder."""

import csv

import torch
from torch import Tensor

from fmnist.core.runs import Run


def checkpoint(run: Run, name: str = "best") -> dict[str, Tensor]:
    return torch.load(run.path / "checkpoints" / f"{name}.ckpt", weights_only=True)["state_dict"]


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def rows(run: Run) -> list[dict[str, str]]:
    with (run.path / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))
