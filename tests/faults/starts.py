"""Runs that start at once, and runs on a cluster's node."""

import os
import signal
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.models.loading import in_batches, load_classifier
from tests.faults.processes import Child, last_line, run
from tests.faults.table import Outcome, Row
from tests.faults.trainings import EPOCHS, STEPS, differences, flags, run_of, signal_at, train, whole
from tests.training.slurm import fake_scontrol, one_task

SLURM = one_task(JOB_ID=1, JOB_NAME="fmnist", NODELIST="localhost")


def shared_folder(folder: Path, times: int) -> Outcome:
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                Child(folder / f"{seed}.log", train, flags(folder, "shared", "--seed_everything", str(seed)))
            )
            for seed in range(times)
        ]
        ended = sum(child.wait() == 0 for child in children)
    runs = Run.all(folder / "logs" / "shared")
    images = source.load(folder / "data").test_images.numpy()
    unmixed = sum(_is_of_one(found, images) for found in runs)
    seeds = {found.record["seed"] for found in runs}
    figure = f"{ended}/{times} finished in {len(runs)} folders, {unmixed} of one run only, {len(seeds)} seeds"
    return ended == len(runs) == unmixed == len(seeds) == times, figure


def _is_of_one(found: Run, images: np.ndarray) -> bool:
    """Tell whether a folder's configuration, record, curves, weights and predictions belong together."""
    config = yaml.safe_load((found.path / "config.yaml").read_text())
    logits = in_batches(load_classifier(found.path).evaluation_logits, images)
    return (
        found.record["status"] == "finished"
        and config["seed_everything"] == found.record["seed"]
        and len(found.history()["train/loss"][0]) == EPOCHS
        and len(list(found.path.glob("events.*"))) == 1
        and np.allclose(logits, found.predictions("test").logits, atol=1e-5)
    )


def on_slurm(folder: Path, times: int) -> Outcome:
    wanted, _ = whole(folder, "whole")
    log = folder / "slurm.log"
    status = run(log, train, flags(folder, "slurm"), _be_on_slurm)
    alike = status == 0 and not differences(Run(run_of(folder, "slurm")), wanted)
    calls = fake_scontrol(folder)
    stopped = run(log, train, flags(folder, "job"), partial(_requeue_on_slurm, folder, STEPS + 2))
    again = run(log, train, flags(folder, "job"), partial(_requeue_on_slurm, folder, 3 * STEPS))
    assert stopped == again == 128 + signal.SIGTERM, last_line(log)
    assert run(log, train, flags(folder, "job"), partial(_start_again, folder)) == 0, last_line(log)
    asked, runs = calls.read_text().splitlines(), Run.all(folder / "logs" / "job")
    exact = len(runs) == 1 and not differences(runs[0], wanted)
    figure = f"exit {status}, {'the same' if alike else 'OTHER'} bits; signalled twice: scontrol called "
    figure += f"{len(asked)} times ({asked[0]}), {len(runs)} run folder, "
    figure += f"ended {'at the same bits' if exact else 'DIFFERENTLY'}"
    return alike and exact and asked == ["requeue 1"] * 2, figure


def _be_on_slurm() -> None:
    os.environ |= SLURM


def _requeue_on_slurm(folder: Path, step: int) -> None:
    _start_again(folder)
    signal_at("training_step", step, signal.SIGUSR1, folder / "noted")


def _start_again(folder: Path) -> None:
    _be_on_slurm()
    os.environ |= {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "SLURM_RESTART_COUNT": "1"}


ROWS = (
    Row(
        "shared-logs",
        "logs folder shared by ten runs that start at once",
        "ten folders, none mixed",
        shared_folder,
        times=(10, 3),
    ),
    Row(
        "slurm",
        "a SLURM job, and one that SLURM signals (SIGUSR1) twice",
        "nothing changes; queued again each time, goes on in the same folder to the same bits",
        on_slurm,
    ),
)
