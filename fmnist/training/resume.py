"""Which run ``--resume`` or a job that is queued again means, and that it is gone on with as it was begun."""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.training.checkpoints import LAST
from fmnist.training.requeue import job_id

FREE = (
    *("name", "logs", "resume", "config", "checkpoint_minutes", "data.root"),
    *("trainer.accelerator", "trainer.strategy", "trainer.devices", "trainer.num_nodes", "trainer.max_time"),
    *("trainer.enable_progress_bar", "trainer.profiler", "trainer.plugins", "trainer.default_root_dir"),
)
"""What may differ when a run is resumed. Of these only the number of processes has a part in the result,
through what dropout draws in each."""


def command_line(args: list[str] | None) -> str:
    """Return the command as ``run.json`` records it.

    Args:
        args: The command line without the program; ``None`` takes the process's own.
    """
    return shlex.join(["python", "scripts/train.py", *(sys.argv[1:] if args is None else args)])


def run_to_resume(args: list[str] | None) -> tuple[Run | None, list[str] | None]:
    """Take ``--resume RUN`` out of a command line and put the run's own configuration first.

    Args:
        args: The command line without the program; ``None`` takes the process's own.

    Returns:
        The run, ``None`` without the flag, and the new command line.

    Raises:
        InputError: There is no such run, or it is finished.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--resume")
    found, rest = parser.parse_known_args(args)
    if found.resume is None:
        return None, args
    run = _unfinished(Path(found.resume))
    if run.record.get("kind") != "lightning":
        raise InputError(f"--resume {run.path}: is a {run.record.get('kind')} run, only a network's goes on")
    if run.record.get("status") == "finished":
        raise InputError(
            f"--resume {run.path}: is finished; to train anew: --config {run.path / 'config.yaml'}"
        )
    try:
        known = isinstance(yaml.safe_load((run.path / "config.yaml").read_text()), dict)
    except (OSError, ValueError, yaml.YAMLError):
        known = False
    if not known:
        raise InputError(f"--resume {run.path}: its config.yaml is missing or damaged; train anew")
    return run, ["--config", str(run.path / "config.yaml"), *rest]


def _unfinished(path: Path) -> Run:
    """Open a run folder, or the newest run of ``logs/<name>`` that did not finish."""
    if (path / "run.json").exists() or not path.is_dir():
        return Run(path)
    runs = [run for run in Run.all(path) if run.record.get("status") != "finished"]
    if not runs:
        raise InputError(f"--resume {path}: holds no run that was stopped")
    return max(runs, key=lambda run: (run.record["started"], run.version))


def run_of_job(logs: str, name: str, command: str) -> Run | None:
    """Return the run that this job began by this command before it was queued again.

    Args:
        logs: Folder of all runs.
        name: What the run is called.
        command: As ``run.json`` records it; a job may train several runs, one after the other.

    Returns:
        The newest that left a checkpoint; ``None`` if there is none, or the job starts for the first time.
    """
    job = job_id()
    if job is None or not re.fullmatch(r"[1-9]\d*", os.environ.get("SLURM_RESTART_COUNT", "")):
        return None
    begun = [
        run
        for run in Run.all(Path(logs) / name)
        if (run.record.get("slurm_job"), run.record.get("command")) == (job, command)
        and (run.path / "checkpoints" / LAST).exists()
    ]
    return max(begun, key=lambda run: run.version, default=None)


def check_same(run: Run, begun: dict[str, Any], config: dict[str, Any]) -> None:
    """Refuse to go on with another configuration.

    Args:
        run: What is resumed.
        begun: What its ``config.yaml`` means today: flags that are younger have their defaults.
        config: The resolved configuration.

    Raises:
        InputError: A value that the result depends on differs; both are named.
    """
    before, now = dict(_leaves(begun)), dict(_leaves(config))
    for key in dict.fromkeys([*before, *now]):
        if key not in FREE and before.get(key) != now.get(key):
            raise InputError(
                f"--{key.replace('.init_args', '')} {now.get(key)}: {run.path} was begun with "
                f"{before.get(key)}; leave it out, or train anew without --resume"
            )


def _leaves(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, dict) and config:
        for name, value in config.items():
            yield from _leaves(value, f"{prefix}.{name}" if prefix else name)
    else:
        yield prefix, config


def check_record(run: Run, data_sha256: Any, split: dict[str, Any], versions: dict[str, str]) -> None:
    """Refuse to go on with other data, and warn of other versions.

    Raises:
        InputError: The data differ; both digests are named.
    """
    for name, now in (("data_sha256", data_sha256), ("split", split)):
        if run.record.get(name) != now:
            raise InputError(
                f"--resume {run.path}: was begun with {name} {run.record.get(name)}, now is {now}"
            )
    before = run.record.get("versions", {})
    changed = [
        f"{name} {before[name]} -> {new}" for name, new in versions.items() if before.get(name, new) != new
    ]
    if changed:
        print(
            f"warning: resumed with other versions, so perhaps not exactly: {', '.join(changed)}",
            file=sys.stderr,
        )
