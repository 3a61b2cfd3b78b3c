"""A run goes on beyond what ended it: more epochs or steps, a later early stop."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import yaml

from fmnist.core.runs import Run
from fmnist.training.train import main
from tests.training.folder import STILL, WHOLE, interruption, rows

ALWAYS = WHOLE


def place_of(config: Any, flag: str) -> tuple[dict[str, Any], str]:
    """Return the part of a configuration that holds a flag's value, and its name there."""
    *groups, name = flag.removeprefix("--").split(".")
    for group in groups:
        config = config[group]
    return config, name


@pytest.mark.parametrize(
    ("flags", "more", "steps"),
    [
        ([], ["--trainer.max_epochs", "6"], 30),
        (["--trainer.max_steps", "8"], ["--trainer.max_steps", "13"], 13),
        (["--trainer.max_steps", "8"], ["--trainer.max_steps", "-1"], 20),
        (["--trainer.max_steps", "18"], ["--trainer.max_steps", "20"], 20),  # in the last epoch
        ([*STILL, "--early_stopping", "1"], ["--early_stopping", "null"], 30),
        ([*STILL, "--early_stopping", "1"], ["--early_stopping", "3"], 20),
    ],
)
def test_a_finished_run_goes_on_beyond_what_ended_it(
    train: Callable[..., Run], flags: list[str], more: list[str], steps: int
) -> None:
    first = train("--name", "long", *flags)
    assert first.record["steps"] < steps
    config = copy.deepcopy(first.config)
    part, name = place_of(config, more[0])
    earlier, part[name] = part[name], yaml.safe_load(more[1])
    main(["--resume", str(first.path), *more])
    run = Run(first.path)
    assert (run.status, run.record["steps"], run.record["resumed"]) == ("finished", steps, 1)
    assert run.record["earlier_ends"] == [{more[0].removeprefix("--"): earlier}]
    state = torch.load(run.path / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["global_step"] == steps
    if "--model.schedule" not in flags:
        assert state["lr_schedulers"][0]["_last_lr"] == pytest.approx([0, 0], abs=1e-12)
    table = [int(row["step"]) for row in rows(run)]
    assert table == sorted(table)
    assert run.config == config
    if more == ["--early_stopping", "3"]:  # in one case, as the configuration says it of all
        again = main(["--config", str(run.path / "config.yaml"), "--name", "anew"])
        assert again is not None
        assert again.record["steps"] == steps


def test_a_run_that_goes_on_untested_keeps_no_old_predictions(train: Callable[..., Run]) -> None:
    first = train("--name", "long")
    main(["--resume", str(first.path), "--trainer.max_epochs", "5", "--test", "false"])
    run = Run(first.path)
    assert not run.is_tested
    assert run.record["metrics"].keys() == {"val"}
    assert run.has_predictions("val")
    assert not run.has_predictions("test")


def test_a_run_that_goes_on_and_is_killed_at_once_still_goes_on(
    train: Callable[..., Run],
) -> None:
    run = train("--early_stopping", "1", *STILL)
    assert run.record["epochs"] == 2
    with interruption("training_step", 11, None, 1):
        main(["--resume", str(run.path), "--early_stopping", "3"])
    main(["--resume", str(run.path)])
    assert Run(run.path).record["epochs"] == 4


def test_a_later_end_is_beyond_what_is_done(train: Callable[..., Run], refusal: Callable[..., str]) -> None:
    run = train("--trainer.max_epochs", "2")
    longer = ["--trainer.max_epochs", "4", "--trainer.max_steps", "5"]
    refused = refusal("--resume", run.path, *longer)
    assert refused.startswith(f"error: --trainer.max_steps 5: {run.path} has done 10 steps in 2 epochs; ")
    assert Run(run.path).record["status"] == "finished"


def test_a_damaged_table_is_refused_before_anything_changes(
    train: Callable[..., Run], refusal: Callable[..., str]
) -> None:
    run = train("--trainer.max_epochs", "1")
    (run.path / "metrics.csv").write_text("garbage\n1,2\n")
    refused = refusal("--resume", run.path, "--trainer.max_epochs", "2")
    assert f"{run.path}/metrics.csv: cannot be read (" in refused
    assert Run(run.path).record["status"] == "finished"
