"""Which runs a command line asks for: from YAML files and seeds to commands of train.py and baseline.py."""

import itertools
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fmnist.core.commands import shell_command, shipped_path
from fmnist.core.errors import InputError, one_line, quoted


class Job(NamedTuple):
    """A run that is asked for.

    Attributes:
        path: The YAML that names it in messages.
        command: Script and arguments that run it.
        is_derived: Whether it is made of other runs, whatever its seed.
        needs_runs: Whether it needs finished runs, as derived ones and those with teachers do.
        values: By flag, the values in which it differs from the other runs of its study.
    """

    path: Path
    command: list[str]
    is_derived: bool
    needs_runs: bool
    values: dict[str, Any]


def find_jobs(paths: Sequence[str], flags: Sequence[str]) -> tuple[list[Job], list[Path]]:
    """Read YAML files, and folders of them, into jobs with more flags; those that need other runs come last.

    Returns:
        The jobs, and the files that describe none.

    Raises:
        InputError: A path does not exist, there is no YAML, or one is a search space.
    """
    jobs, failed = [], []
    for path in itertools.chain.from_iterable(map(_yaml_files, paths)):
        try:
            text = path.read_text()
            config = yaml.safe_load(text)
        except FileNotFoundError as error:
            raise InputError(f"{quoted(path)}: cannot be read ({error.strerror})") from None
        except (OSError, ValueError, yaml.YAMLError) as error:
            what = "cannot be read" if isinstance(error, OSError) else "is no YAML"
            print(f"error: {quoted(path)}: {what} ({one_line(error)})", file=sys.stderr)
            failed.append(path)
            continue
        if command := _command(path, text.partition("\n")[0]):
            kind = is_derived(config), needs_runs(config)
            jobs.append(Job(path, [*command, *flags], *kind, {"config": path.name}))
        else:
            print(
                f"error: {quoted(path)}: its first line must be its command, like\n"
                f"# {shell_command('train', '--config', str(path))}",
                file=sys.stderr,
            )
            failed.append(path)
    names = [job.path.name for job in jobs]
    jobs = [  # two files of one name are two configurations
        job._replace(values={"config": str(job.path)}) if names.count(job.path.name) > 1 else job
        for job in jobs
    ]
    return sorted(jobs, key=lambda job: (job.needs_runs, job.is_derived)), failed


def _yaml_files(path: str) -> list[Path]:
    if not os.path.isdir(path):
        return [Path(path)]
    files = sorted(Path(path).glob("*.yaml"))
    if not files:
        raise InputError(f"{quoted(path)}: holds no YAML file")
    return files


def _command(path: Path, line: str) -> list[str] | None:
    """Return the command in the first line of a YAML, None if it does not run a script with that YAML.

    Raises:
        InputError: The script is that of studies: a study of studies would never end.
    """
    try:
        program, script, *arguments = shlex.split(line.lstrip("# "))
    except ValueError:  # too few words, or a sentence with an apostrophe
        return None
    names_itself = [path.parts[-len(Path(word).parts) :] == Path(word).parts for word in arguments]
    if program != "python" or not any(names_itself):
        return None
    if Path(script).name == "study.py":
        raise InputError(f"{quoted(path)}: is a search space, not a configuration; name it by --search")
    # its paths begin at the root of the project, which need not be the working directory
    return [
        shipped_path(script),
        *(str(path) if own else word for word, own in zip(arguments, names_itself, strict=True)),
    ]


def is_derived(config: Any) -> bool:
    """Return whether a configuration of a baseline is made of finished runs: a blend, or an embedding."""
    settings = config if isinstance(config, dict) else {}
    features = settings.get("features")
    steps = [step for step in features if isinstance(step, str | dict)] if isinstance(features, list) else []
    return bool(settings.get("blend")) or any("embedding" in step for step in steps)


def needs_runs(config: Any) -> bool:
    """Return whether a configuration is made of finished runs, begins with one's weights, or has teachers."""
    settings = config if isinstance(config, dict) else {}
    return is_derived(config) or settings.get("init") is not None or bool(settings.get("teachers"))


def job_of(configs: Sequence[str], flags: Sequence[str]) -> Job:
    """Return the one job of YAML files that stack, as ``--config`` names them, and of flags.

    The script is that of the first line of the first file which has a command, else ``train.py``.

    Raises:
        InputError: A file cannot be read, or is a search space.
    """
    script = shipped_path("scripts/train.py")
    arguments: list[str] = []
    for name in reversed(configs):
        path = Path(shipped_path(name))
        try:
            command = _command(path, path.read_text().partition("\n")[0])
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or one_line(error)
            raise InputError(f"--config {quoted(name)}: cannot be read ({reason})") from None
        script = command[0] if command else script
        arguments = ["--config", str(path), *arguments]
    path = Path(configs[-1])
    return Job(path, [script, *arguments, *flags], False, False, {})


def repeated(jobs: Iterable[Job], ranges: Mapping[str, int | None]) -> list[Job]:
    """Return each job once for each value of some flags, such as seeds; several flags make all combinations.

    A job that is made of other runs is there once: it takes their newest run, whatever its seed. ``ranges``
    holds by flag how many values it takes, counted from 0; ``None`` leaves it alone.
    """
    choices = [[(flag, value) for value in range(number)] for flag, number in ranges.items() if number]
    all_jobs = []
    for job in jobs:
        for pairs in itertools.product(*choices) if not job.is_derived else [()]:
            flags = [word for flag, value in pairs for word in (f"--{flag}", str(value))]
            all_jobs.append(
                job._replace(command=[*job.command, *flags], values={**job.values, **dict(pairs)})
            )
    return all_jobs
