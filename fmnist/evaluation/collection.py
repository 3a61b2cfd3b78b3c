"""The runs of a comparison: find them, read them, refuse what cannot be compared, group them by seeds."""

import hashlib
import inspect
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fmnist.core.errors import InputError
from fmnist.core.runs import Predictions, Run

CONVOLUTIONAL, DENSE, CLASSICAL, OTHER = "convolutional", "fully connected", "classical", "other"
FAMILIES = {
    "LitCNN": CONVOLUTIONAL,
    "LitLeNet5": CONVOLUTIONAL,
    "LitResNet": CONVOLUTIONAL,
    "LitMLP": DENSE,
    "MLPClassifier": DENSE,
}
INCIDENTAL = {"seed", "seed_everything", "logs", "name", "config", "engine"}
INCIDENTAL_DATA = {"root", "eval_batch_size"}
"""Keys of a configuration, and of its ``data``, that may differ between runs of one recipe."""


@cache
def _data_defaults() -> dict[str, Any]:
    from fmnist.data.datamodule import FashionMNISTDataModule  # imports Lightning

    parameters = inspect.signature(FashionMNISTDataModule).parameters
    return {name: parameter.default for name, parameter in parameters.items()}


@dataclass(frozen=True, eq=False)
class Member:
    """A finished run with its predictions of the test set."""

    run: Run
    test: Predictions

    @cached_property
    def predicted(self) -> np.ndarray:
        return self.test.logits.argmax(1)

    @cached_property
    def right(self) -> np.ndarray:
        return self.predicted == self.test.labels

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration; empty where it cannot be read."""
        try:
            config = yaml.safe_load((self.run.path / "config.yaml").read_text())
        except (OSError, ValueError, yaml.YAMLError):
            return {}
        return config if isinstance(config, dict) else {}

    @property
    def name(self) -> str:
        return str(self.run.record.get("name") or self.run.path.parent.name)

    @property
    def seed(self) -> int | None:
        return self.run.record.get("seed")

    @property
    def family(self) -> str:
        """What kind of model it is, by the class in its configuration."""
        part = self.config.get("model") or self.config.get("estimator")
        path = part.get("class_path") if isinstance(part, dict) else None
        known = FAMILIES.get(str(path).rpartition(".")[2])
        return known or (CLASSICAL if self.run.record.get("kind") == "scikit-learn" else OTHER)

    @property
    def recipe(self) -> str:
        """The configuration without what differs between repetitions.

        Nor with what its ``data`` leaves at the default: a run from before a flag does not name it.
        """
        config = {key: value for key, value in self.config.items() if key not in INCIDENTAL}
        if isinstance(config.get("data"), dict):
            usual = _data_defaults()
            config["data"] = {
                key: value
                for key, value in config["data"].items()
                if key not in INCIDENTAL_DATA and not (key in usual and value == usual[key])
            }
        return json.dumps(config, sort_keys=True, default=str)

    @cached_property
    def test_set(self) -> str:
        """A digest of which images, with which labels, the predictions are of."""
        digest = hashlib.sha256(json.dumps(self.run.record.get("data_sha256"), sort_keys=True).encode())
        digest.update(self.test.indices.tobytes() + self.test.labels.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Group:
    """Runs of one recipe that differ in their seeds.

    Attributes:
        label: What the reports call it.
        members: By rising seed; the first one stands for the group where one run is needed.
    """

    label: str
    members: tuple[Member, ...]

    @property
    def lead(self) -> Member:
        return self.members[0]

    @cached_property
    def accuracy(self) -> float:
        """Mean accuracy on the test set over the seeds."""
        return float(np.mean([member.right.mean() for member in self.members]))


def find_runs(paths: Sequence[str | Path]) -> tuple[list[Run], list[str]]:
    """Find the finished runs that paths name.

    Args:
        paths: Each a run folder, ``logs/NAME`` for its newest finished run, or a folder of such folders
            for every finished run below it.

    Returns:
        The runs, and for each run that was passed over a line that says why.

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
            if run.record.get("status") == "finished":
                runs[folder.resolve()] = run
            else:
                skipped.append(f"skipped {folder}: is {run.record.get('status')}, not finished")
    if not runs:
        reasons = "".join(f"\n{line}" for line in skipped)
        raise InputError(f"{' '.join(map(str, paths))}: no finished run{reasons}")
    return list(runs.values()), skipped


def _run_folders(path: Path) -> list[Path]:
    """Return the run folders that a path names; one itself where nothing lies below it."""
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
) -> tuple[list[Group], list[str], list[str]]:
    """Find, read, check and group the runs of a comparison.

    Returns:
        The groups, the most accurate first; lines on what was passed over; warnings on what differs.

    Raises:
        InputError: Nothing can be compared: no runs, damaged predictions, or different data or splits
            without ``allow_mixed``.
    """
    runs, skipped = find_runs(paths)
    members = [Member(run, run.predictions("test")) for run in runs]
    warnings = differences(members)
    if warnings and not allow_mixed:
        raise InputError(f"{'; '.join(warnings)}. --allow-mixed compares them with a warning")
    groups, repeated = group(members)
    return sorted(groups, key=lambda group: -group.accuracy), skipped + repeated, warnings


def differences(members: Sequence[Member]) -> list[str]:
    """Return in words what keeps runs from being compared: other data, other test images, another split.

    Runs that held out no validation set have used all training images: they go with any split.
    """
    digests = {json.dumps(member.run.record.get("data_sha256"), sort_keys=True) for member in members}
    if len(digests) > 1:
        found = {member: _short(member.run.record.get("data_sha256")) for member in members}
        return [_differ("different data (hash of the files)", found)]
    if len({member.test_set for member in members}) > 1:
        return [_differ("different test images", {m: f"{len(m.test.labels):,} images" for m in members})]
    held_out = {member: split for member in members if (split := _split(member)) is not None}
    if len(set(held_out.values())) > 1:
        return [_differ("different splits", held_out)]
    return []


def _split(member: Member) -> str | None:
    """Return a run's split in words; None for one that trained on every training image."""
    split = member.run.record.get("split") or {}
    train, val = split.get("train"), split.get("val")
    whole = (member.config.get("data") or {}).get("train_size") is None
    if val == 0 and whole:
        return None
    return f"{train} training and {val} validation images, split seed {split.get('split_seed')}"


def _differ(what: str, found: "dict[Member, str]") -> str:
    by_value: dict[str, list[str]] = {}
    for member, value in found.items():
        by_value.setdefault(value, []).append(str(member.run.path))
    return f"{what}: " + " against ".join(f"{', '.join(runs)} ({value})" for value, runs in by_value.items())


def _short(digests: Any) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:12]


def group(members: Iterable[Member]) -> tuple[list[Group], list[str]]:
    """Group runs of one name and recipe by their seeds; of two runs of one seed the newer one counts.

    Returns:
        The groups, and a line for each run that a newer one replaces.
    """
    recipes: dict[tuple[str, str, str], dict[Any, Member]] = {}
    replaced = []
    for member in sorted(members, key=_age):
        by_seed = recipes.setdefault((member.name, member.recipe, member.test_set), {})
        if older := by_seed.get(member.seed):
            replaced.append(f"skipped {older.run.path}: {member.run.path} repeats it, and is newer")
        by_seed[member.seed] = member
    ordered = [
        tuple(sorted(by_seed.values(), key=lambda member: (member.seed is None, member.seed)))
        for by_seed in recipes.values()
    ]
    return [Group(label, same) for label, same in zip(_labels(ordered), ordered, strict=True)], replaced


def _age(member: Member) -> tuple[str, int]:
    return str(member.run.record.get("started")), member.run.version


def _labels(groups: Sequence[Sequence[Member]]) -> list[str]:
    """Return a label for each group that no other has: its name, or with the run folder's, or the path."""
    leads = [members[0] for members in groups]
    names = [member.name for member in leads]
    longer = [f"{member.name}/{member.run.path.name}" for member in leads]
    return [
        name if names.count(name) == 1 else long if longer.count(long) == 1 else str(lead.run.path)
        for name, long, lead in zip(names, longer, leads, strict=True)
    ]
