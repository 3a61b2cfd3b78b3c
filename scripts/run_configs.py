"""Train or fit many configurations: skip those that are finished, go on after a failure, compare them."""

import argparse
import itertools
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fmnist.core.commands import shell_command, shipped_path
from fmnist.core.errors import InputError, exits_cleanly, exits_on_sigterm, one_line, quoted
from fmnist.core.runs import Run
from fmnist.core.settings import settings_of
from fmnist.core.tables import Column, Table, counted, duration, fixed, size

DESCRIPTION = """\
Run the command in the first line of each YAML, unless a finished run of the same configuration is there.
PATH is a YAML file, or a folder of them (default: configs/baselines). Those that are made of other runs,
by blend or embedding, come last. Ends in a table of the finished runs; the exit status is 1 if a
configuration failed.
"""
EPILOG = """\
Any other flag is passed to every configuration, for example --logs, --data.root or --data.train_size 5000.
"""
COLUMNS = (
    Column("run", "name"),
    Column("accuracy", "accuracy", fixed("accuracy")),
    Column("macro F1", "f1", fixed("f1")),
    Column("fit", "fit_seconds", duration("fit_seconds")),
    Column("predict", "predict_seconds", duration("predict_seconds")),
    Column("size", "size_bytes", size("size_bytes")),
    Column("fitted by", "fitted_by"),
)


class Job(NamedTuple):
    """A configuration to be run.

    Attributes:
        path: Of its YAML.
        command: Script and arguments that run it.
        is_derived: Whether it is made of other runs.
    """

    path: Path
    command: list[str]
    is_derived: bool


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Run configurations as the command line says; exit status 1 if one failed."""
    parser = argparse.ArgumentParser(
        prog="python scripts/run_configs.py",
        usage="%(prog)s [PATH ...] [--compare DIR] [--FLAG VALUE ...]",
        description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("--compare", metavar="DIR", help="write the page of scripts/compare.py into DIR")
    options, rest = parser.parse_known_args(args)
    paths = list(itertools.takewhile(lambda word: not word.startswith("--"), rest))
    jobs, failed = find_jobs(
        [shipped_path(path) for path in paths or ["configs/baselines"]], rest[len(paths) :]
    )
    runs = []
    for place, job in enumerate(jobs, start=1):
        print(f"\n[{place}/{len(jobs)}] {quoted(job.path)}", flush=True)
        if run := run_job(job):
            runs.append(run)
        else:
            failed.append(job.path)
    if runs:
        print("\n" + table_of(runs).text(), flush=True)
    if failed:
        print(f"failed: {shlex.join(map(str, failed))}", file=sys.stderr)
    if options.compare and len(runs) > 1:
        _compare(runs, Path(options.compare))
    sys.exit(1 if failed else 0)


def find_jobs(paths: Sequence[str], flags: list[str]) -> tuple[list[Job], list[Path]]:
    """Read configurations, those that are made of other runs last; return the files that are none.

    Args:
        paths: YAML files, and folders of them.
        flags: Added to each command.

    Raises:
        InputError: A path does not exist, or there is no YAML.
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
            jobs.append(Job(path, [*command, *flags], _is_derived(config)))
        else:
            print(
                f"error: {quoted(path)}: its first line must be its command, like\n"
                f"# {shell_command('train', '--config', str(path))}",
                file=sys.stderr,
            )
            failed.append(path)
    return sorted(jobs, key=lambda job: job.is_derived), failed


def _yaml_files(path: str) -> list[Path]:
    if not Path(path).is_dir():
        return [Path(path)]
    files = sorted(Path(path).glob("*.yaml"))
    if not files:
        raise InputError(f"{quoted(path)}: holds no YAML file")
    return files


def _command(path: Path, line: str) -> list[str] | None:
    """Return the command in the first line of a YAML, None if it does not run a script with that YAML."""
    try:
        program, script, *arguments = shlex.split(line.lstrip("# "))
    except ValueError:  # too few words, or a sentence with an apostrophe
        return None
    if program != "python" or not any(Path(word).name == path.name for word in arguments):
        return None
    # its paths begin at the root of the project, which need not be the working directory
    return [shipped_path(script), *(str(path) if Path(a).name == path.name else a for a in arguments)]


def _is_derived(config: Any) -> bool:
    settings = config if isinstance(config, dict) else {}
    features = settings.get("features") or ()
    return bool(settings.get("blend")) or any("embedding" in step for step in features)


def run_job(job: Job) -> Run | None:
    """Return the finished run of a configuration, which is run now if there is none; None if that fails."""
    printed = subprocess.run(
        [sys.executable, *job.command, "--print_config"], capture_output=True, text=True, check=False
    )
    if printed.returncode:
        print(printed.stderr, end="", file=sys.stderr)
        return None
    config = yaml.safe_load(printed.stdout)
    if run := finished_run(config):
        print(f"finished already: {quoted(run.path)}")
        return run
    if _call([sys.executable, *job.command]):
        return None
    return finished_run(config)


def _call(command: list[str]) -> int:
    """Return the exit status of a command; it has the time to stop properly when this process is stopped."""
    with exits_on_sigterm(), subprocess.Popen(command) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:  # a terminal sends Ctrl-C to both
            process.wait()
            raise
        except SystemExit:
            process.terminate()
            process.wait()
            raise


def finished_run(config: dict[str, Any]) -> Run | None:
    """Return the newest finished run of a resolved configuration, or None."""
    runs = Run.all(Path(config["logs"]) / config["name"])
    same = [run for run in runs if run.status == "finished" and is_same(config, run.config)]
    return max(same, key=lambda run: run.version, default=None)


def is_same(asked: dict[str, Any], recorded: dict[str, Any]) -> bool:
    """Return whether a run's configuration is the one that was asked for, wherever its files are.

    Args:
        asked: As ``--print_config`` prints it.
        recorded: As ``config.yaml`` holds it.
    """
    settings, others = settings_of(asked), settings_of(recorded)
    if settings.get("trainer.precision") is None:  # the training has chosen it
        others["trainer.precision"] = settings["trainer.precision"] = None
    return settings == others


def table_of(runs: Sequence[Run]) -> Table:
    """Return the table of finished runs, by name, or by folder where several have one name."""
    names = [run.record.get("name") for run in runs]
    tests = [(run.record.get("metrics") or {}).get("test") or {} for run in runs]
    rows = [
        {
            "name": name if names.count(name) == 1 else quoted(run.path),
            "accuracy": test.get("accuracy"),
            "f1": test.get("f1"),
            "fit_seconds": run.record.get("fit_seconds", run.record.get("train_seconds")),
            "predict_seconds": run.record.get("predict_seconds"),
            "size_bytes": run.record.get("size_bytes"),
            "fitted_by": run.record.get("engine", "PyTorch"),
        }
        for run, name, test in zip(runs, names, tests, strict=True)
    ]
    return Table("runs", "Finished runs", COLUMNS, rows)


def _compare(runs: Sequence[Run], output: Path) -> None:
    from fmnist.evaluation.comparison import write_comparison

    root = runs[0].config["data"]["root"]
    _, lines = write_comparison([run.path for run in runs], output, root)
    print(*lines, f"{quoted(output / 'compare.html')}: {counted(len(runs), 'run')}", sep="\n")


if __name__ == "__main__":
    main()
