"""Folders that can't be written: a disk that fills up, and one that belongs to somebody else."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fmnist.models.classifier import Classifier
from fmnist.training.checkpoints import LAST
from tests.faults.processes import PROMPT, last_line, run
from tests.faults.table import Outcome, Row, Skipped
from tests.faults.trainings import (
    STEPS,
    at,
    differences,
    flags,
    interrupted,
    resume,
    run_of,
    step_of,
    train,
    whole,
)

FIRST_BATCH = "the first batch is there"
NOBODY = 65534
FREE = (100_000, 0, 3_000, 20_000)  # bytes left: a checkpoint of these trainings takes some 170,000


def disk_full(folder: Path, times: int) -> Outcome:
    wanted, _ = whole(folder, "whole")
    told = intact = exact = 0
    for trial in range(times):
        place = folder / f"disk-{trial}"
        place.mkdir()
        with _small_disk(place):
            (place / "data").symlink_to(folder / "data")
            path = run_of(place, "full")
            log, filler = folder / "full.log", place / "filler"
            prepare = partial(_fill_later, filler, FREE[trial % len(FREE)])
            status = run(log, train, flags(place, "full"), prepare)
            said = last_line(log)
            told += status != 0 and str(path) in said and "No space left" in said and "bytes" in said
            intact += step_of(path / "checkpoints" / LAST) == 2 * STEPS
            filler.unlink()
            exact += not differences(resume(folder, path)[0], wanted)
    figure = f"{told}/{times} exit {status} with path and bytes named, {intact}/{times} old checkpoints "
    figure += f"intact, {exact}/{times} resumed to the same bits once there was room"
    return told == intact == exact == times, figure


@contextmanager
def _small_disk(place: Path, megabytes: int = 4) -> Iterator[None]:
    """Mount a small file system in memory.

    Raises:
        Skipped: This user may not, or this system can't.
    """
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or str(error)
        raise Skipped(f"no tmpfs can be mounted here ({reason.strip()})") from None
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _fill_later(filler: Path, free: int) -> None:
    """Fill the disk within the third epoch, up to some bytes."""

    def fill(_: Classifier) -> None:
        disk = os.statvfs(filler.parent)
        with filler.open("wb") as file:
            file.write(bytes(max(0, disk.f_bavail * disk.f_frsize - free)))

    at("training_step", 2 * STEPS + 1, fill)


def read_only(folder: Path, times: int) -> Outcome:
    logs = folder / "logs"
    stopped = interrupted(folder, "stopped", 2)
    logs.chmod(0o555)
    for path in logs.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    refused, slowest = [], 0.0
    try:
        for name, command_line in {
            "a new run": flags(folder, "new"),
            "a resumed one": ["--resume", str(stopped)],
        }.items():
            log, start = folder / "refused.log", time.monotonic()
            status = run(log, train, command_line, _as_anybody)
            slowest = max(slowest, time.monotonic() - start)
            told = last_line(log).startswith("error: ") and str(logs) in last_line(log)
            if status == 2 and told and FIRST_BATCH not in log.read_text():
                refused.append(name)
    finally:
        logs.chmod(0o755)
        for path in logs.rglob("*"):
            path.chmod(0o755)
    return len(refused) == 2 and slowest < PROMPT, f"refused: {', '.join(refused)}; within {slowest:.1f} s"


def _as_anybody() -> None:
    """Be an ordinary user, and tell of the first batch."""
    if os.getuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    at("training_step", 0, lambda _: print(FIRST_BATCH))


ROWS = (
    Row(
        "disk-full",
        "the disk of the logs folder fills up in the third epoch",
        "exit not 0, path and bytes named, old checkpoints intact",
        disk_full,
        times=(4, 1),
    ),
    Row(
        "read-only",
        "read-only logs folder, as an ordinary user",
        "refused before the first batch, within 10 s",
        read_only,
    ),
)
