"""The runs of a comparison: find them, refuse what cannot be compared, group the seeds of one model."""

import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.core.commands import shell_command
from fmnist.core.errors import InputError, quoted
from fmnist.core.runs import UNTESTED, Run, no_such_run
from fmnist.core.shipped import COPIES, find_shipped
from fmnist.core.splits import validation_images
from fmnist.evaluation.results import RunResult

NAMED_SETTINGS = 3  # of those that differ, in the label of a model


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
        paths: Each a run folder, or ``logs/NAME`` or ``logs`` for every finished run below it except those
            that were shortened for debugging; or the name of a shipped network.

    Returns:
        The runs, and for each folder that was skipped a line that says why.

    Raises:
        InputError: A path does not exist, or there is no finished run at all.
    """
    runs: dict[Path, Run] = {}
    skipped: list[str] = []
    untested: list[Path] = []
    for path in (find_shipped(path) or Path(path) for path in paths):
        if not os.path.exists(path):
            raise no_such_run(path)
        folders = _run_folders(path)
        if not folders:
            skipped.append(
                f"skipped {quoted(path)}: holds no run (a run folder, logs/NAME, or logs/ is wanted)"
            )
        for folder in folders:
            try:
                run = Run(folder)
            except InputError as error:
                skipped.append(f"skipped {error}; train it again, or remove the folder")
                continue
            # one that max_time has cut short is compared where it is named, as a debug run is
            if not (run.is_scored if folder == path else run.status == "finished"):
                resume = shell_command("train", "--resume", str(folder))
                can_continue = run.kind == "lightning" and run.status in ("stopped", "running")
                remedy = f"; to continue: {resume}" if can_continue else ""
                skipped.append(f"skipped {quoted(folder)}: is {run.state}, not finished{remedy}")
            elif not run.is_tested:
                untested.append(folder)
            elif folder != path and run.shortened_by:
                skipped.append(f"skipped {quoted(folder)}: is a debug run, by {run.shortened_by}")
            else:
                runs[folder.resolve()] = run
    if untested:
        others = f" and {len(untested) - 1} more" if untested[1:] else ""
        skipped.append(f"skipped {quoted(untested[0])}{others}: {UNTESTED}")
    if not runs:
        raise nothing_found(paths, "no finished run", skipped)
    return list(runs.values()), skipped


def nothing_found(paths: Sequence[str | Path], what: str, skipped: Iterable[str]) -> InputError:
    """Return the error that paths hold nothing to compare, with the reasons."""
    return InputError("\n".join([f"{shlex.join(map(str, paths))}: {what}", *skipped]))


def _run_folders(path: Path) -> list[Path]:
    """Return the run folders that a path names, or that are below it.

    Copies of shipped networks are left out where ``logs`` is named: they would count as seeds of the runs
    that they were made of.
    """
    if os.path.exists(path / "run.json"):
        return [path]
    folders = sorted(file.parent for depth in ("*", "*/*") for file in path.glob(f"{depth}/run.json"))
    return [folder for folder in folders if folder.parent == path or folder.parent.name != COPIES.name]


def collect(
    paths: Sequence[str | Path], allow_mixed: bool = False
) -> tuple[list[SeedGroup], list[str], list[str]]:
    """Find, read, check and group the runs of a comparison.

    Returns:
        The groups, the most accurate first; lines on skipped runs; warnings on what differs.

    Raises:
        InputError: Nothing can be compared: no runs that can be read, or different data or splits without
            ``allow_mixed``.
    """
    runs, skipped = find_runs(paths)
    results = []
    for run in runs:
        try:
            results.append(RunResult(run, run.predictions("test")))
        except InputError as error:
            again = shell_command("evaluate", str(run.path))
            skipped.append(f"skipped {error}; to make them again: {again}")
    if not results:
        raise nothing_found(paths, "no run with predictions", skipped)
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
    # runs on fewer training images (--data.train_size) have the same validation images
    splits = {result: result.run.split for result in results if not _uses_all_images(result.run)}
    if len({validation_images(split) for split in splits.values()}) > 1:
        sizes = {
            result: f"{split.get('val')} images, "
            f"split seed {split.get('split_seed')}, fold {split.get('fold')}"
            for result, split in splits.items()
        }
        return [_difference("different validation images", sizes)]
    return []


def is_of_part(run: Run) -> bool:
    """Tell whether a run was trained on a part of the training images (``--data.train_size``)."""
    return (run.config.get("data") or {}).get("train_size") is not None


def _uses_all_images(run: Run) -> bool:
    return run.split.get("val") == 0 and not is_of_part(run)


def _difference(what: str, values: Mapping[RunResult, str]) -> str:
    paths: dict[str, list[str]] = {}
    for result, value in values.items():
        paths.setdefault(value, []).append(quoted(result.run.path))
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
            left_out, taken = quoted(older.run.path), quoted(result.run.path)
            is_copy = older.run.record.get("started") == result.run.record.get("started")
            replaced.append(
                f"skipped {left_out}: is a copy of {taken}"
                if is_copy and np.array_equal(older.test.logits, result.test.logits)
                else f"skipped {left_out}: {taken} repeats it, and is newer"
            )
        by_seed[result.seed] = result
    ordered = [
        tuple(sorted(by_seed.values(), key=lambda result: (result.seed is None, result.seed)))
        for by_seed in groups.values()
    ]
    return [SeedGroup(*pair) for pair in zip(_labels(ordered), ordered, strict=True)], replaced


def _age(result: RunResult) -> tuple[str, int]:
    return str(result.run.record.get("started")), result.run.version


def _labels(groups: Sequence[Sequence[RunResult]]) -> list[str]:
    """Return a label for each group that no other has.

    It is the name; with the settings that differ where groups share a name; if these do not tell them apart,
    name and run folder, or the path.
    """
    firsts = [results[0] for results in groups]
    names = [
        " ".join([first.name, *_differing(first, [other for other in firsts if other.name == first.name])])
        for first in firsts
    ]
    longer = [f"{result.name}/{result.run.path.name}" for result in firsts]
    return [
        name if names.count(name) == 1 else long if longer.count(long) == 1 else str(first.run.path)
        for name, long, first in zip(names, longer, firsts, strict=True)
    ]


def _differing(result: RunResult, others: Sequence[RunResult]) -> list[str]:
    """Return the settings, as ``learning_rate=0.01``, in which a run differs from others; the first few."""
    keys = [
        key
        for key in dict.fromkeys(key for other in others for key in other.settings)
        if any(other.settings.get(key) != result.settings.get(key) for other in others)
    ]
    lasts = [key.rpartition(".")[2] for key in keys]
    texts = []
    for key, last in zip(keys, lasts, strict=True):
        value = json.dumps(result.settings.get(key), default=str).replace('"', "")
        texts.append(f"{last if lasts.count(last) == 1 else key}={value}")
    return texts if len(texts) <= NAMED_SETTINGS else [*texts[:NAMED_SETTINGS], "…"]
