"""Processes that are killed, anywhere, and processes that are asked to stop."""

import os
import random
import shutil
import signal
import tempfile
import time
from functools import partial
from pathlib import Path

from fmnist.core.runs import Run
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.training import checkpoints
from fmnist.training.checkpoints import LAST
from tests.faults.processes import PROMPT, Child, last_line, run
from tests.faults.table import Outcome, Row
from tests.faults.trainings import (
    CNN,
    LENET5,
    STEPS,
    count_steps,
    differences,
    flags,
    largest_difference,
    resume,
    run_of,
    send,
    signal_at,
    train,
    wait_for,
    whole,
    workplace,
)

CALLS = (3, 5, 0, 1, 2, 4)
"""The calls that put one ``last.ckpt`` in its place, as the trials take them: fsync, rename and fsync of the
folder for the checkpoint before, and the same for the new one."""
RENAMED = 4  # the one of them that makes the new checkpoint the last


def killed_at_random(folder: Path, times: int) -> Outcome:
    generator = random.Random(0)
    networks = dict([("lenet5", LENET5), ("cnn", CNN)][:times])
    wholes = {name: whole(folder, f"{name}-whole", network) for name, network in networks.items()}
    resumed, most_lost, largest = 0, 0, 0.0
    for trial in range(times):
        name = list(networks)[trial % len(networks)]
        wanted, seconds = wholes[name]
        path = run_of(folder, f"{name}-{trial}")
        command_line = flags(folder, f"{name}-{trial}", network=networks[name])
        done = _kill(folder, path, command_line, generator.uniform(0, seconds))
        while Run(path).record["status"] == "finished":  # it was faster this time
            shutil.rmtree(path)
            done = _kill(folder, path, command_line, generator.uniform(0, seconds))
        again, start = resume(folder, path)
        resumed += not differences(again, wanted)
        most_lost = max(most_lost, done - start)
        largest = max(largest, largest_difference(again, wanted))
    figure = f"{resumed}/{times} resumed to the same bits, weights differ by {largest}; at most {most_lost} "
    figure += f"steps lost where checkpoints are {STEPS} apart"
    return resumed == times and most_lost <= STEPS and largest == 0, figure


def _kill(folder: Path, path: Path, command_line: list[str], delay: float) -> int:
    """Kill a training some time after its first checkpoint and return the number of steps it had done."""
    steps = folder / "steps"
    with Child(folder / "kill.log", train, command_line, partial(count_steps, steps)) as child:
        wait_for(child, path / "checkpoints" / LAST)
        time.sleep(delay)
        child.signal(signal.SIGKILL)
        child.wait()
    return steps.stat().st_size


def killed_in_a_write(folder: Path, times: int) -> Outcome:
    wanted, _ = whole(folder, "whole")
    loaded = left = cleaned = exact = 0
    with workplace(_other_file_system(folder)) as elsewhere:
        for trial in range(times):
            path, call = run_of(folder, f"mlp-{trial}"), CALLS[trial % len(CALLS)]
            here = folder / f"here-{trial}"
            temporary = (folder, elsewhere)[(trial + trial // len(CALLS)) % 2]
            prepare = partial(_pause_in_write, call, here, temporary)
            with Child(folder / "write.log", train, flags(folder, f"mlp-{trial}"), prepare) as child:
                wait_for(child, here)
                child.signal(signal.SIGKILL)
                child.wait()
            left += any((path / "checkpoints").glob(".*"))
            again, start = resume(folder, path)
            loaded += start == (2 * STEPS if call > RENAMED else STEPS)
            cleaned += not any((path / "checkpoints").glob(".*"))
            exact += not differences(again, wanted)
        systems = len({place.stat().st_dev for place in (folder, elsewhere)})
    figure = f"{loaded}/{times} loaded the one that was whole, {exact}/{times} ended at the same bits; "
    figure += f"{left} left a part of a file, {times - cleaned} after the next start; "
    figure += f"temporary folders on {systems} file systems"
    return loaded == cleaned == exact == times, figure


def _other_file_system(folder: Path) -> str | None:
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and os.access(memory, os.W_OK) else None


def _pause_in_write(call: int, here: Path, temporary: Path) -> None:
    """Sleep at one of the calls that write the second epoch's checkpoint, with the file half written."""
    os.environ["TMPDIR"], tempfile.tempdir = str(temporary), None
    real = {"fsync": os.fsync, "replace": os.replace}
    calls = 0

    def paused(name: str, *args: object) -> None:
        nonlocal calls
        if calls == call:
            file = Path(f"/proc/self/fd/{args[0]}")
            # not another name of the checkpoint before, which is on the disk already
            if name == "fsync" and file.is_file() and file.stat().st_nlink == 1:
                os.truncate(file, file.stat().st_size // 2)
            here.touch()
            time.sleep(1000)
        calls += 1
        real[name](*args)  # type: ignore[operator]

    original = checkpoints.keep

    def keep(path: Path, name: str, other: str) -> None:
        if name == LAST and (path / LAST).exists():  # the second writing
            os.fsync, os.replace = partial(paused, "fsync"), partial(paused, "replace")
        original(path, name, other)

    checkpoints.keep = keep


def terminated(folder: Path, times: int) -> Outcome:
    wanted, _ = whole(folder, "whole")
    places = {
        "training": ("training_step", 2 * STEPS + 2),
        "validation": ("validation_step", 3 * STEPS),
        "first batch": ("training_step", 0),
    }
    slowest, good = 0.0, []
    for name, (place, step) in places.items():
        path = run_of(folder, place + str(step))
        prepare = partial(signal_at, place, step, signal.SIGTERM, folder / "noted")
        slowest = max(slowest, _terminate(folder, flags(folder, place + str(step)), prepare))
        stopped = Run(path).record["status"] == "stopped" and "--resume" in last_line(folder / "stop.log")
        if stopped and not differences(resume(folder, path)[0], wanted):
            good.append(name)
    prepare = partial(_terminate_in_set_up, folder / "noted")
    slowest = max(slowest, _terminate(folder, flags(folder, "early"), prepare))
    if not (folder / "logs" / "early").exists():
        good.append("data set-up (nothing left behind)")
    figure = f"exit 143 within {slowest:.2f} s; saved, and exact when resumed: {', '.join(good)}"
    return len(good) == len(places) + 1 and slowest < PROMPT, figure


def _terminate(folder: Path, command_line: list[str], prepare: partial[None]) -> float:
    """Train until the process sends itself SIGTERM; return the seconds that it took to end."""
    status = run(folder / "stop.log", train, command_line, prepare)
    seconds = time.time() - float((folder / "noted").read_text())
    assert status == 128 + signal.SIGTERM, f"exit status {status}: {last_line(folder / 'stop.log')}"
    return seconds


def _terminate_in_set_up(noted: Path) -> None:
    original = FashionMNISTDataModule.setup

    def set_up(self: FashionMNISTDataModule, stage: str | None = None) -> None:
        send(signal.SIGTERM, noted)
        original(self, stage)

    FashionMNISTDataModule.setup = set_up  # type: ignore[method-assign]


ROWS = (
    Row(
        "kill",
        "kill -9 at a random time, LeNet-5 and CNN",
        "all resume, at most one checkpoint interval lost, final weights differ by 0.0",
        killed_at_random,
        times=(20, 1),
        seconds=900,
    ),
    Row(
        "kill-write",
        "kill -9 inside the checkpoint write, temporary folder on this and another file system",
        "all load the checkpoint before, leftovers cleaned at the next start",
        killed_in_a_write,
        times=(50, 2),
        seconds=900,
    ),
    Row(
        "sigterm",
        "SIGTERM during training, validation, first batch, data set-up",
        "saved or cleanly ended within 10 s, exit 143, resume exact",
        terminated,
    ),
)
