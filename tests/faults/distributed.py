"""Several processes that must give what one gives, and end together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.models.loading import in_batches, load_classifier
from fmnist.training.checkpoints import LAST
from tests.faults.processes import PATIENCE, PROMPT, last_line
from tests.faults.table import Outcome, Row
from tests.faults.trainings import ROOT, STEPS, differences, flags, largest_difference, run_of, step_of
from tests.machine import free_port
from tests.synthetic import write_synthetic

SIZES = (7, 101, 10_000)
GONE = 60  # seconds until nothing may be left of a run that failed on one process
MARK = "FMNIST_FAULTS_LOG"
"""Variable by which the processes of a launch are known; torchrun gives each a session of its own."""
PLAIN = [
    *("--model", "fmnist.models.mlp.LitMLP", "--model.widths", "[32]", "--model.optimizer", "sgd"),
    *("--model.learning_rate", "0.1", "--data.augmentation.erase", "0.5"),
    *("--data.augmentation.shift", "2", "--data.augmentation.flip", "true"),
]
WAITS = ["--model", "tests.faults.broken.Waits", "--model.widths", "[16]", "--model.dropout", "0.2"]


@contextmanager
def launched(
    log: Path,
    command_line: list[str],
    processes: int,
    launcher: Sequence[str] = (sys.executable,),
    **variables: str,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start ``scripts/train.py`` in a session of its own; nothing of it is left when the ``with`` ends."""
    ddp = ["--trainer.devices", str(processes), *(["--trainer.strategy", "ddp"] if processes > 1 else [])]
    command = [*launcher, str(ROOT / "scripts" / "train.py"), *command_line, *ddp]
    ours = {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", MARK: str(log)}
    with log.open("wb") as output:
        environment = os.environ | ours | {"MASTER_PORT": str(free_port())} | variables
        process = subprocess.Popen(
            command, cwd=log.parent, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        for left in members(log):
            os.kill(left, signal.SIGKILL)
        process.wait()


def train_on(log: Path, command_line: list[str], processes: int) -> None:
    """Train to the end on several processes."""
    with launched(log, command_line, processes) as process:
        assert process.wait(PATIENCE) == 0, last_line(log)


def whole_of_two(folder: Path) -> Run:
    """Train without a fault on two processes."""
    train_on(folder / "whole.log", flags(folder, "whole", network=WAITS), 2)
    (folder / "waits").unlink()
    return Run(run_of(folder, "whole"))


def wait_until_it_waits(folder: Path, log: Path, process: subprocess.Popen[bytes]) -> None:
    while not (folder / "waits").exists():
        assert process.poll() is None, last_line(log)
        time.sleep(0.01)


def members(log: Path) -> list[int]:
    """Return the processes that still run of those that were launched with a log, in whatever session."""
    mark, found = f"{MARK}={log}".encode(), []
    for entry in Path("/proc").iterdir():
        try:
            variables = (entry / "environ").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:  # it ended meanwhile, or is another user's
            continue
        if mark in variables:
            found.append(int(entry.name))
    return found


def scored_once(folder: Path, times: int) -> Outcome:
    worlds = (2, 3)[:times]
    equal, cases = 0, [(processes, size) for processes in worlds for size in SIZES[: 3 if times > 1 else 1]]
    for processes, size in cases:
        place = folder / f"{processes}-{size}"
        data = write_synthetic(place / "data", train_size=600, test_size=size)
        short = ["--trainer.max_epochs", "1", "--data.batch_size", "60"]
        train_on(folder / "test.log", flags(place, "run", *short), processes)
        run = Run(run_of(place, "run"))
        images, labels = source.load(data)[2:4]
        alone = in_batches(load_classifier(run.path).evaluation_logits, images.numpy())
        wanted = _confusion(labels.numpy(), alone.argmax(1))
        found = run.predictions("test")
        equal += (
            np.array_equal(found.indices, np.arange(size))
            and np.array_equal(found.labels, labels.numpy())
            and np.array_equal(_confusion(found.labels, found.logits.argmax(1)), wanted)
            and np.array_equal(run.record["metrics"]["test"]["confusion_matrix"], wanted)
            and run.record["hardware"]["processes"] == processes
        )
    figure = f"{equal}/{len(cases)} integer-equal, each image once and in order (processes, images: {cases})"
    return equal == len(cases), figure


def _confusion(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    matrix = np.zeros((10, 10), int)
    np.add.at(matrix, (labels, classes), 1)
    return matrix


def same_batches(folder: Path, times: int) -> Outcome:
    runs = []
    for processes in (1, 2):
        steps = ["--data.batch_size", "64", "--trainer.max_steps", "10", "--ema", "null"]
        command_line = flags(folder, f"on-{processes}", *steps, network=PLAIN)
        train_on(folder / "batches.log", command_line, processes)
        runs.append(Run(run_of(folder, f"on-{processes}")))
    difference = largest_difference(*runs)
    return difference <= 1e-5, f"weights within {difference:.1e} after 10 steps of SGD with augmentation"


def one_raises(folder: Path, times: int) -> Outcome:
    model = ["--model", "tests.faults.broken.RaisesOnOneProcess"]
    log = folder / "raises.log"
    with launched(log, flags(folder, "raises", network=model), 2) as process:
        status = process.wait(PATIENCE)
        start = time.monotonic()
        while (left := members(log)) and time.monotonic() - start < GONE:
            time.sleep(0.1)
    said = log.read_text()
    raised = float((folder / "raised").read_text())
    seconds = time.time() - raised
    shown = "RuntimeError: a defect on process 1" in said and "Traceback" in said
    marked = Run(run_of(folder, "raises")).record["status"]
    figure = f"exit {status}, all gone {seconds:.1f} s after it, {len(left)} left, traceback "
    figure += f"{'shown' if shown else 'MISSING'}, run marked {marked}"
    return status != 0 and not left and seconds < GONE and shown, figure


def stopped_together(folder: Path, times: int) -> Outcome:
    wanted = whole_of_two(folder)
    log, path = folder / "stop.log", run_of(folder, "stopped")
    with launched(log, flags(folder, "stopped", network=WAITS), 2) as process:
        wait_until_it_waits(folder, log, process)
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        status = process.wait(PATIENCE)
        while (left := members(log)) and time.monotonic() - start < PROMPT:
            time.sleep(0.1)
        seconds = time.monotonic() - start
    marked, step = Run(path).record["status"], step_of(path / "checkpoints" / LAST)
    train_on(folder / "resume.log", ["--resume", str(path)], 2)
    different = differences(Run(path), wanted)
    alike = f"differs in {', '.join(different)}" if different else "the same bits"
    figure = f"exit {status}, marked {marked}, all gone in {seconds:.1f} s, {len(left)} left; "
    figure += f"saved at step {step} of epochs of {STEPS}, resumed on 2: {alike}"
    return status == 143 and marked == "stopped" and not left and not different and seconds < PROMPT, figure


ROWS = (
    Row(
        "test-set",
        "test set in 2 and 3 processes, N = 7, 101, 10,000",
        "confusion matrix integer-equal to one process that scores the same checkpoint",
        scored_once,
        times=(2, 1),
        seconds=600,
    ),
    Row("batches", "1 process x batch 64 against 2 x 32", "weights within 1e-5", same_batches, seconds=600),
    Row(
        "rank-raises",
        "one of 2 processes raises",
        "all gone within 60 s, traceback shown, no orphan",
        one_raises,
        seconds=600,
    ),
    Row(
        "sigterm-ddp",
        "SIGTERM to the first of 2 processes",
        "saved, exit 143, all gone within 10 s, resumed by 2 processes to the same bits",
        stopped_together,
        seconds=600,
    ),
)
