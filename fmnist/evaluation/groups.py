"""The runs of a comparison: find them, refuse what cannot be compared, group the seeds of one model."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.evaluation.results import RunResult


@dataclass(frozen=True, eq=False)
class SeedGroup:
    """Runs of one configuration that differ in their seeds.

    Attributes:
        label: What the reports call it.
        results: By rising seed.
    """

    label: str
    results: tuple[RunResult, ...]

    @property
    def first_seed(self) -> RunResult:
        """The run that represents the group where one run is needed."""
        return self.results[0]

    @cached_property
    def accuracy(self) -> float:
        """Mean accuracy on the test set over the seeds."""
        return float(np.mean([result.right.mean() for result in self.results]))


def find_runs(paths: Sequence[str | Path]) -> tuple[list[Run], list[str]]:
    """Find the finished runs that paths name.

    Args:
        paths: Each a run folder, ``logs/NAME`` for its newest finished run, or a folder of such folders
            for every finished run below it.

    Returns:
        The runs, and for each run that was skipped a line that says why.

    Raises:
        InputError: A path is no such folder, or there is no finished run at all.
    """
    runs: dict[Path, Run] = {}
    skipped = []
    for path in map(Path, paths):
        for folder in _run_folders(path):
            try:
                run = Run(folder)
            except InputError as error:
                if folder == path:
                    raise
                skipped.append(f"skipped {error}")
                continue
            if run.status == "finished":
                runs[folder.resolve()] = run
            else:
                skipped.append(f"skipped {folder}: is {run.status}, not finished")
    if not runs:
        reasons = "".join(f"\n{line}" for line in skipped)
        raise InputError(f"{' '.join(map(str, paths))}: no finished run{reasons}")
    return list(runs.values()), skipped


def _run_folders(path: Path) -> list[Path]:
    """Return the run folders that a path names; the path itself where no runs are below it."""
    if (path / "run.json").exists() or not path.is_dir():
        return [path]
    if any(path.glob("*/run.json")):
        return [Run.find(path).path]
    below = sorted(file.parent for file in path.glob("*/*/run.json"))
    if not below:
        raise InputError(f"{path}: holds no run (a run folder, logs/NAME, or logs/ is wanted)")
    return below


def collect(
    paths: Sequence[str | Path], allow_mixed: bool = False
) -> tuple[list[SeedGroup], list[str], list[str]]:
    """Find, read, check and group the runs of a comparison.

    Returns:
        The groups, the most accurate first; lines on skipped runs; warnings on what differs.

    Raises:
        InputError: Nothing can be compared: no runs, damaged predictions, or different data or splits
            without ``allow_mixed``.
    """
    runs, skipped = find_runs(paths)
    results = [RunResult(run, run.predictions("test")) for run in runs]
    warnings = differences(results)
    if warnings and not allow_mixed:
        raise InputError(f"{'; '.join(warnings)}. --allow-mixed compares them with a warning")
    groups, replaced = group_seeds(results)
    return sorted(groups, key=lambda group: -group.accuracy), skipped + replaced, warnings


def differences(results: Sequence[RunResult]) -> list[str]:
    """Return why runs cannot be compared: other data, other test images, another split.

    Runs without a validation set have used all training images, and can be compared with any split.
    """
    hashes = {result: result.data_hash for result in results}
    if len(set(hashes.values())) > 1:
        return [_difference("different data (hash of the files)", hashes)]
    if len({result.test_set for result in results}) > 1:
        sizes = {result: f"{len(result.test.labels):,} images" for result in results}
        return [_difference("different test images", sizes)]
    splits = {result: split for result in results if (split := _split(result)) is not None}
    if len(set(splits.values())) > 1:
        return [_difference("different splits", splits)]
    return []


def _split(result: RunResult) -> str | None:
    """Return a description of a run's split; None for one that trained on every training image."""
    split = result.run.record.get("split") or {}
    train, val = split.get("train"), split.get("val")
    whole = (result.run.config.get("data") or {}).get("train_size") is None
    if val == 0 and whole:
        return None
    return f"{train} training and {val} validation images, split seed {split.get('split_seed')}"


def _difference(what: str, values: Mapping[RunResult, str]) -> str:
    paths: dict[str, list[str]] = {}
    for result, value in values.items():
        paths.setdefault(value, []).append(str(result.run.path))
    return f"{what}: " + " against ".join(f"{', '.join(runs)} ({value})" for value, runs in paths.items())


def group_seeds(results: Iterable[RunResult]) -> tuple[list[SeedGroup], list[str]]:
    """Group runs of one name and configuration; of two runs with the same seed the newer one counts.

    Returns:
        The groups, and a line for each run that a newer one replaces.
    """
    groups: dict[tuple[str, str, str], dict[Any, RunResult]] = {}
    replaced = []
    for result in sorted(results, key=_age):
        by_seed = groups.setdefault((result.name, result.recipe, result.test_set), {})
        if older := by_seed.get(result.seed):
            replaced.append(f"skipped {older.run.path}: {result.run.path} repeats it, and is newer")
        by_seed[result.seed] = result
    ordered = [
        tuple(sorted(by_seed.values(), key=lambda result: (result.seed is None, result.seed)))
        for by_seed in groups.values()
    ]
    return [SeedGroup(*pair) for pair in zip(_labels(ordered), ordered, strict=True)], replaced


def _age(result: RunResult) -> tuple[str, int]:
    return str(result.run.record.get("started")), result.run.version


def _labels(groups: Sequence[Sequence[RunResult]]) -> list[str]:
    """Return a label for each group that no other has: its name, name and run folder, or the path."""
    firsts = [results[0] for results in groups]
    names = [result.name for result in firsts]
    longer = [f"{result.name}/{result.run.path.name}" for result in firsts]
    return [
        name if names.count(name) == 1 else long if longer.count(long) == 1 else str(first.run.path)
        for name, long, first in zip(names, longer, firsts, strict=True)
    ]
