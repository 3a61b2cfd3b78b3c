"""Run what is not finished yet, continue what was interrupted, go on after a failure."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fmnist.core.errors import InputError, quoted
from fmnist.core.files import LOCK
from fmnist.core.runs import Run
from fmnist.core.settings import settings_of
from fmnist.core.tables import Column, Table, duration, size
from fmnist.studies.jobs import Job
from fmnist.studies.processes import Child, LostChild, can_go_on, is_locked, locked, stops_children
from fmnist.studies.resolver import Resolver

POLL_SECONDS = 0.1
OTHER_COLUMNS = (
    Column("fit", "fit_seconds", duration("fit_seconds")),
    Column("predict", "predict_seconds", duration("predict_seconds")),
    Column("size", "size_bytes", size("size_bytes")),
    Column("fitted by", "fitted_by"),
)


def run_jobs(
    jobs: Sequence[Job], resolver: Resolver, study: str, folder: Path, parallel: int = 1
) -> list[Run | None]:
    """Return the finished run of each job, which is run now if there is none; None where that fails.

    Args:
        jobs: Those that need other runs come last.
        resolver: Checks the commands.
        study: The name that new runs record.
        folder: The study's folder, for locks and for the output of runs that go on at the same time.
        parallel: The number of such runs.
    """
    runs: list[Run | None] = [None] * len(jobs)
    configs: dict[int, dict[str, Any]] = {}
    running: dict[int, Child | LostChild] = {}
    waiting = list(range(len(jobs)))
    titles = [" ".join([quoted(job.path), *_shown(job.values)]) for job in jobs]
    labels = [f"[{place}/{len(jobs)}] {title}" for place, title in enumerate(titles, 1)]
    with stops_children(running.values):
        while waiting or running:
            while waiting and len(running) < parallel and not (running and jobs[waiting[0]].needs_runs):
                place = waiting.pop(0)
                job = jobs[place]
                print(f"\n{labels[place]}", flush=True)
                try:
                    configs[place] = resolver.resolve(job.command).config
                except InputError as error:
                    print(f"error: {error}", file=sys.stderr)
                    continue
                if run := finished_run(configs[place]):
                    runs[place] = run
                    print(f"finished already: {quoted(run.path)}")
                    continue
                record = {"name": study, "trial": place, "values": job.values}
                log = folder / f"{place}.log" if parallel > 1 else None
                running[place] = _begin(job, configs[place], record, folder / f"{place}.lock", log)
            for place, child in list(running.items()):
                if (status := child.poll()) is None:
                    continue
                del running[place]
                if isinstance(child, LostChild):  # perhaps it was killed; then this study does the rest
                    waiting.insert(0, place)
                    continue
                runs[place] = None if status else finished_run(configs[place])
                if parallel > 1:
                    outcome = "failed" if runs[place] is None else "finished"
                    print(f"{labels[place]}: {outcome}", flush=True)
            time.sleep(POLL_SECONDS if running else 0)
    return runs


def _begin(
    job: Job, config: dict[str, Any], record: dict[str, Any], lock_path: Path, log: Path | None
) -> Child | LostChild:
    """Start the run of a job, continue the newest one that was interrupted, or wait for one that goes on.

    Its process holds the lock of ``lock_path`` from its start, when it has no run folder yet.
    """
    with locked(lock_path) as descriptor:
        if descriptor is None:
            print("waits for the process that an earlier study began", flush=True)
            return LostChild(lock_path)
        command = job.command
        for run in _runs_of(config)[::-1]:
            if run.status not in ("stopped", "running"):
                continue
            own_lock = run.path / LOCK
            if own_lock.exists() and is_locked(own_lock):  # begun by hand or by another study
                print(f"waits for {quoted(run.path)}", flush=True)
                return LostChild(own_lock)
            if can_go_on(run):
                print(f"continues {quoted(run.path)}", flush=True)
                command = [command[0], "--resume", str(run.path)]
                if (limit := _time_limit(config)) != _time_limit(run.config):
                    command += ["--trainer.max_time", "null" if limit is None else str(limit)]
                break
        return Child(command, record, log, descriptor)


def _shown(values: Mapping[str, Any]) -> list[str]:
    """Return the values of a run as words, without its configuration, which stands beside them."""
    return [f"{flag} {value}" for flag, value in values.items() if flag != "config"]


def finished_run(config: dict[str, Any]) -> Run | None:
    """Return the newest run of a resolved configuration that has its results, or None.

    One that ``max_time`` has cut short does for the same limit alone.
    """
    limit = _time_limit(config)
    for run in _runs_of(config)[::-1]:
        if run.status == "finished" or (
            run.is_scored and limit is not None and limit == _time_limit(run.config)
        ):
            return run
    return None


def _time_limit(config: dict[str, Any]) -> Any:
    return (config.get("trainer") or {}).get("max_time")


def _runs_of(config: dict[str, Any]) -> list[Run]:
    """Return the runs of a resolved configuration, by rising version."""
    runs = sorted(Run.all(Path(config["logs"]) / config["name"]), key=lambda run: run.version)
    is_tested = config.get("test") is not False
    return [run for run in runs if run.is_tested == is_tested and is_same(config, run.config)]


def is_same(asked: dict[str, Any], recorded: dict[str, Any]) -> bool:
    """Return whether a run recorded the configuration that was asked for, wherever its files are."""
    settings, others = settings_of(asked), settings_of(recorded)
    if "trainer.precision" not in settings:  # the training has chosen it
        others.pop("trainer.precision", None)
    return settings == others


def table_of(runs: Sequence[Run], values: Sequence[Mapping[str, Any]], part: str = "test") -> Table:
    """Return the table of finished runs, by name, or by folder where several have one name.

    The values in which a run differs from the others go with its name. The accuracy is that of ``part``,
    ``test`` or ``val``.
    """
    pairs = zip(runs, values, strict=True)
    names = [" ".join([str(run.record.get("name")), *_shown(own)]) for run, own in pairs]
    measured = [run.metrics(part) for run in runs]
    rows = [
        {
            "name": name if names.count(name) == 1 else quoted(run.path),
            "accuracy": metrics.get("accuracy"),
            "f1": metrics.get("f1"),
            "fit_seconds": run.record.get("fit_seconds", run.record.get("train_seconds")),
            "predict_seconds": run.record.get("predict_seconds"),
            "size_bytes": run.record.get("size_bytes"),
            "fitted_by": run.record.get("engine", "PyTorch"),
        }
        for run, name, metrics in zip(runs, names, measured, strict=True)
    ]
    prefix = "validation " if part == "val" else ""
    columns = [
        Column("run", "name"),
        Column(f"{prefix}accuracy", "accuracy", "{:.4f}"),
        Column(f"{prefix}macro F1", "f1", "{:.4f}"),
        *OTHER_COLUMNS,
    ]
    return Table("runs", "Finished runs", columns, rows)
