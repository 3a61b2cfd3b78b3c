"""Find the run that ``--resume`` or a restarted SLURM job continues, and check that nothing else changed."""

import os
import re
import sys
from pathlib import Path
from typing import Any

from fmnist.core.errors import InputError, quoted
from fmnist.core.runs import Run
from fmnist.core.settings import settings_of
from fmnist.core.tables import counted
from fmnist.training.checkpoints import LAST
from fmnist.training.signals import job_id

END_FLAGS = {
    "max_epochs": "trainer.max_epochs",
    "max_steps": "trainer.max_steps",
    "early_stopping": "early_stopping",
}
"""What may end a run, and the flag that lets it go on beyond that."""

MAY_LIE_ELSEWHERE = ("data.photographs", "data.photograph_classes", "teachers")
"""Paths whose content is checked instead, see ``check_same_photographs`` and ``learn_from_teachers``."""


def run_to_resume(path: Path) -> Run:
    """Open the run that ``--resume`` names: a run folder, or ``logs/<name>`` for its newest unfinished one.

    Where all are finished, that is the newest: it may go on beyond what ended it.

    Raises:
        InputError: There is no such run, it is not a network's, or its configuration is missing or damaged.
    """
    if os.path.exists(path / "run.json") or not os.path.isdir(path):
        run = Run(path)
    else:
        runs = [run for run in Run.all(path) if not run.shortened_by]
        if not runs:
            raise InputError(f"--resume {quoted(path)}: holds no run")
        unfinished = [run for run in runs if run.status != "finished"]
        run = (unfinished or runs)[-1]
    if run.kind != "lightning":
        raise InputError(
            f"--resume {quoted(run.path)}: is a {run.kind} run; only the training of networks continues"
        )
    if not run.config:
        raise InputError(f"--resume {quoted(run.path)}: its config.yaml is missing or damaged; train anew")
    return run


def run_of_job(logs: str, name: str, command: str) -> Run | None:
    """Return the run that this SLURM job began by the same command before it was queued again.

    A job may train several runs, one after the other, so ``run.json`` records the command. Of several runs of
    this command, the newest one with a checkpoint is returned; ``None`` if there is none, or the job starts
    for the first time.
    """
    job = job_id()
    if job is None or not re.fullmatch(r"[1-9]\d*", os.environ.get("SLURM_RESTART_COUNT", "")):
        return None
    candidates = [
        run
        for run in Run.all(Path(logs) / name)
        if (run.record.get("slurm_job"), run.record.get("command")) == (job, command)
        and (run.path / "checkpoints" / LAST).exists()
    ]
    return max(candidates, key=lambda run: run.version, default=None)


def check_same_configuration(run: Run, before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Refuse to continue a run with another configuration, except that a finished one may get a later end.

    Args:
        run: The run that is resumed.
        before: Its configuration, as the command line reads it.
        now: The configuration of the command line.

    Returns:
        The end that the run had, by its flags, if it gets another; else nothing.

    Raises:
        InputError: A value that affects the result differs; both values are named.
    """
    old, new = (settings_of(config) for config in (before, now))
    may_move = END_FLAGS.values() if run.status == "finished" else ()
    moved = {key: old.get(key) for key in may_move if old.get(key) != new.get(key)}
    for key in dict.fromkeys([*old, *new]):
        if key in MAY_LIE_ELSEWHERE and old.get(key) and new.get(key):
            continue
        if key not in moved and old.get(key) != new.get(key):
            raise InputError(
                f"--{key.replace('.init_args', '')} {new.get(key)}: {quoted(run.path)} was started with "
                f"{old.get(key)}; leave it out, or train anew without --resume"
            )
    return moved


def check_goes_on(run: Run, earlier_end: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to resume a finished run with a configuration that does not lift what ended it.

    ``earlier_end`` is what ``check_same_configuration`` returns.

    Raises:
        InputError: The limit is not lifted, or another one is below what the run has done.
    """
    if run.status != "finished":
        return
    settings, no_limit = settings_of(now), (None, -1)
    flag = END_FLAGS.get(run.record.get("ended_by") or "")
    if flag in earlier_end and (before := earlier_end[flag]) not in no_limit:
        limit = settings.get(flag)
        if limit in no_limit or limit > before:
            _check_other_limits(run, settings)
            return
    anew = f"to train anew: --config {quoted(run.path / 'config.yaml')}"
    longer = f"; to train longer: a larger --{flag}" if flag else ""
    raise InputError(f"--resume {quoted(run.path)}: is finished; {anew}{longer}")


def _check_other_limits(run: Run, settings: dict[str, Any]) -> None:
    epochs, steps = run.record.get("epochs") or 1, run.record.get("steps") or 0
    for name, done in (("max_epochs", epochs - 1), ("max_steps", steps)):  # the last epoch may be unfinished
        if (limit := settings.get(f"trainer.{name}")) not in (None, -1) and limit <= done:
            raise InputError(
                f"--trainer.{name} {limit}: {quoted(run.path)} has done {counted(steps, 'step')} in "
                f"{counted(epochs, 'epoch')}; take more"
            )


def check_same_data(run: Run, data_sha256: Any, split: dict[str, Any]) -> None:
    """Refuse to continue a run on other data.

    Raises:
        InputError: The data differ; both digests are named.
    """
    digests = run.record.get("data_sha256")
    for name, before, now in (("data_sha256", digests, data_sha256), ("split", run.split, split)):
        if before != now:
            raise InputError(f"--resume {quoted(run.path)}: was started with {name} {before}, now is {now}")


def check_same_photographs(run: Run, folder: str | None, now: dict[str, Any] | None) -> None:
    """Refuse to continue a run with other photographs, wherever they are.

    ``folder`` is ``--data.photographs``, and ``now`` is what ``run.json`` would record of it.

    Raises:
        InputError: They differ; what differs is named.
    """
    before, now = run.record.get("photographs") or {}, now or {}
    for name in dict.fromkeys([*before, *now]):
        if name != "folder" and before.get(name) != now.get(name):
            raise InputError(
                f"--data.photographs {quoted(folder)}: {quoted(run.path)} was started with others: {name} "
                f"{before.get(name)!s:.200}, now {now.get(name)!s:.200}; restore them, or train anew"
            )


def warn_of_other_versions(run: Run, versions: dict[str, str]) -> None:
    """Print a warning if a run continues with other versions of the packages."""
    old = run.record.get("versions", {})
    changed = [f"{name} {old[name]} -> {new}" for name, new in versions.items() if old.get(name, new) != new]
    if changed:
        message = f"warning: resumed with other versions, so the result may differ: {', '.join(changed)}"
        print(message, file=sys.stderr)
