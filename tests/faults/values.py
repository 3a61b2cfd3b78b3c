"""NaN in loss, gradient or weights, and the same or different weights by seed."""

import math
import re
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fmnist.core.runs import Run
from fmnist.models.classifier import Classifier
from fmnist.models.loading import read_checkpoint
from tests.faults.processes import last_line, run
from tests.faults.table import Outcome, Row
from tests.faults.trainings import STEPS, at, count_steps, flags, largest_difference, run_of, train

EVERY_STEP = ["--checkpoint_minutes", "1e-9"]


def not_a_number(folder: Path, times: int) -> Outcome:
    cases = [(what, step, more) for step in (7, 2 * STEPS) for more in ([], EVERY_STEP) for what in SPOIL]
    stopped, latest, spoilt = 0, 0, []
    for number, (what, step, more) in enumerate(cases[: times * len(SPOIL)]):
        name, steps = f"{what}-{number}", folder / "steps"
        log = folder / f"{name}.log"
        status = run(log, train, flags(folder, name, *more), partial(_spoil, what, step, steps))
        latest = max(latest, steps.stat().st_size - step)
        trained = Run(run_of(folder, name))
        reported = re.search(
            r"(the loss was nan at|the weights are not finite after) step \d+", last_line(log)
        )
        stopped += status == 2 and trained.record["status"] == "failed" and reported is not None
        kept = (trained.path / "checkpoints").glob("*.ckpt")
        spoilt += [f"{name}/{path.name}" for path in kept if not _finite(read_checkpoint(path))]
    total = min(len(cases), times * len(SPOIL))
    figure = f"{stopped}/{total} stopped, by k+{latest}; "
    figure += f"kept checkpoints that hold one: {', '.join(spoilt) or 'none'}"
    return stopped == total and latest <= 1 and not spoilt, figure


def _spoil_loss(step: int) -> None:
    original = Classifier.training_step

    def spoilt(self: Classifier, *args: Any) -> Tensor:
        loss = original(self, *args)
        return loss * math.nan if self.global_step + 1 == step else loss

    Classifier.training_step = spoilt  # type: ignore[method-assign, assignment]


def _spoil_gradient(step: int) -> None:
    at("on_after_backward", step - 1, lambda model: model.network.head.bias.grad.fill_(math.nan))


def _spoil_weight(step: int) -> None:
    at("training_step", step - 1, lambda model: torch.nn.init.constant_(model.network.head.bias, math.nan))


SPOIL = {"loss": _spoil_loss, "gradient": _spoil_gradient, "weight": _spoil_weight}


def _spoil(what: str, step: int, steps: Path) -> None:
    SPOIL[what](step)
    count_steps(steps)


def _finite(checkpoint: dict[str, Any]) -> bool:
    states = [checkpoint[name] for name in ("state_dict", "optimizer_states", "current_model_state")]
    return all(tensor.isfinite().all() for tensor in _tensors(states))


def _tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values]
    parts = values.values() if isinstance(values, dict) else values if isinstance(values, list) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def seeds(folder: Path, times: int) -> Outcome:
    runs = []
    for name, seed in (("again", 0), ("0", 0), ("1", 1), ("2", 2)):
        log = folder / "seed.log"
        assert run(log, train, flags(folder, name, "--seed_everything", str(seed))) == 0, last_line(log)
        runs.append(Run(run_of(folder, name)))
    same = largest_difference(*runs[:2])
    least = min(largest_difference(*pair) for pair in combinations(runs[1:], 2))
    return same == 0 and least > 0, f"same seed: {same}; three seeds: at least {least:.3f}"


ROWS = (
    Row(
        "nan",
        "NaN in loss, gradient or weight at step k",
        "stopped by k+1, no kept checkpoint holds a value that is not finite",
        not_a_number,
        times=(4, 2),
    ),
    Row("seeds", "same seed twice; three seeds", "identical weights; different weights", seeds),
)
