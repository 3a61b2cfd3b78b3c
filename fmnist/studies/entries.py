"""The runs of a study as rows: values, result and where to read more, for the page and its tables."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fmnist.core.runs import Run
from fmnist.core.statistics import spread_of
from fmnist.core.tables import Column, Row, Table, counted, duration, short
from fmnist.studies.jobs import Job

REPORTS = ("report.html", "figures/curves.png", "run.json")
"""What tells most about a run, the best first."""
SEED, SPLIT_SEED, FOLD = "seed_everything", "data.split_seed", "data.fold"
SEEDS = (SEED, SPLIT_SEED)
NAMES = ("config", "setting")  # values that need no flag beside them


class Repetition(NamedTuple):
    """What one configuration is run several times over, and what is shown of these runs.

    Attributes:
        unit: One repetition.
        part: Whose accuracy counts, ``test`` or ``val``.
        metric: Its name.
        has_interval: Whether the repetitions are independent, so that their spread gives an interval of the
            mean. Those of cross-validation share training images (Bengio and Grandvalet 2004).
    """

    unit: str
    part: str
    metric: str
    has_interval: bool


OVER_SEEDS = Repetition("seed", "test", "test accuracy", has_interval=True)
OVER_FOLDS = Repetition("fold", "val", "validation accuracy", has_interval=False)


@dataclass(frozen=True)
class Entry:
    """A run of a study.

    Attributes:
        number: Its place in the list, or the number of the trial.
        values: By flag, the values in which it differs from the others.
        state: ``finished``, ``pruned``, ``failed``, ``running`` or ``waiting``.
        result: Its metric; None where it has none.
        run: Its folder, if there is one.
        curve: In a search, its metric by epoch, counted from 0.
        reason: Why it failed.
    """

    number: int
    values: dict[str, Any]
    state: str
    result: float | None
    run: Run | None = None
    curve: dict[int, float] = field(default_factory=dict)
    reason: str = ""


def entries_of_jobs(jobs: Sequence[Job], runs: Sequence[Run | None], part: str) -> list[Entry]:
    """Return the runs of a list, with their accuracy on ``test`` or ``val``."""
    return [
        Entry(number, job.values, "failed" if run is None else "finished", accuracy(run, part), run)
        for number, (job, run) in enumerate(zip(jobs, runs, strict=True))
    ]


def accuracy(run: Run | None, part: str = "test") -> float | None:
    """Return the accuracy that a run has recorded; None where it has none."""
    value = None if run is None else run.metrics(part).get("accuracy")
    return value if isinstance(value, int | float) else None


def trials_table(entries: Sequence[Entry], heading: str, result: str, folder: Path) -> Table:
    """Return the table of runs in their order; ``folder`` is that of the page, where links start."""
    flags = dict.fromkeys(flag for entry in entries for flag in entry.values)
    columns = [
        Column("number", "number", link="report"),
        Column(result, "result", "{:.4f}"),
        *(Column(last_part(flag, flags), flag, _shown(flag), flag) for flag in flags),
        Column("status", "state"),
        Column("epochs", "epochs"),
        Column("time", "seconds", duration("seconds")),
        *([Column("reason", "reason", long=True)] if any(entry.reason for entry in entries) else ()),
    ]
    return Table("trials", heading, columns, [_row(entry, flags, folder) for entry in entries])


def last_part(flag: str, flags: Iterable[str]) -> str:
    """Return a flag without its group, unless another flag would have the same name then."""
    last = flag.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in flags) == 1 else flag


def _shown(flag: str) -> Any:
    return lambda row: short(row[flag])


def _row(entry: Entry, flags: Iterable[str], folder: Path) -> Row:
    record = {} if entry.run is None else entry.run.record
    return {
        "number": entry.number,
        "result": entry.result,
        **{flag: entry.values.get(flag) for flag in flags},
        "state": entry.state,
        "epochs": record.get("epochs"),
        "seconds": record.get("train_seconds"),
        "reason": entry.reason or None,
        "folder": None if entry.run is None else str(entry.run.path),
        "report": _report(entry.run, folder),
    }


def _report(run: Run | None, folder: Path) -> str | None:
    """Return the address of what tells most about a run, from the folder of the page."""
    if run is None:
        return None
    path = next((run.path / name for name in REPORTS if (run.path / name).exists()), run.path)
    return Path(os.path.relpath(path, folder)).as_posix()


def groups_of(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the runs that differ in seed or fold alone, by what they share; only those with a result."""
    groups: dict[str, list[Entry]] = {}
    # seeds with the same split are not independent of each other, so each split is a group then
    both_vary = all(len({entry.values.get(seed) for entry in entries}) > 1 for seed in SEEDS)
    dropped = (*(SEEDS[:1] if both_vary else SEEDS), FOLD)
    for entry in entries:
        if entry.result is not None:
            shared = [
                str(value) if flag in NAMES else f"{flag} {short(value)}"
                for flag, value in entry.values.items()
                if flag not in dropped
            ]
            groups.setdefault(", ".join(shared), []).append(entry)
    return groups


def entries_of_runs(runs: Mapping[str, Sequence[Run]]) -> list[Entry]:
    """Return tested runs as entries, by the name of their setting."""
    return [
        Entry(number, {"setting": label, SEED: run.record.get("seed")}, "finished", accuracy(run), run)
        for label, own in runs.items()
        for number, run in enumerate(own)
    ]


def spread(values: Sequence[float], over: Repetition = OVER_SEEDS) -> str:
    """Return the mean of several repetitions with standard deviation and, if it has one, interval."""
    found = spread_of(values)
    if len(values) == 1:
        return f"{found.mean:.4f} with one {over.unit}"
    text = f"{found.mean:.4f} ± {found.sd:.4f} over {counted(len(values), over.unit)}"
    low, high = max(found.low, 0.0), min(found.high, 1.0)  # of two values, the interval is wider than that
    return f"{text}, 95 % {low:.4f} to {high:.4f}" if over.has_interval else text


def spreads_of(groups: Mapping[str, Sequence[Entry]], over: Repetition = OVER_SEEDS) -> list[str]:
    """Return what ``spread`` says of each group of several runs."""
    results = {label: [e.result for e in own if e.result is not None] for label, own in groups.items()}
    return [
        f"{f'{label}: {over.metric}' if label else over.metric.capitalize()} {spread(values, over)}."
        for label, values in results.items()
        if len(values) > 1
    ]
