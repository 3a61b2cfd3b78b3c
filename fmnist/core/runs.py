"""The run folder: what every training leaves behind and every later step reads."""

import contextlib
import csv
import difflib
import json
import os
import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.errors import InputError, one_line, quoted, reports_unwritable
from fmnist.core.files import locked_folder, to_json, write_arrays, write_file
from fmnist.core.predictions import Predictions, read_predictions, write_predictions
from fmnist.core.settings import shortening_flags
from fmnist.core.shipped import COPIES, copy_shipped, find_shipped, is_shipped, shipped_names

STUDY = "FMNIST_STUDY"
"""Environment variable by which a study tells a run its ``name``, ``trial`` and ``values``, as JSON."""
UNTESTED = "was not tested (--test false), so it has no predictions of the test set"


class Run:
    """A run folder ``logs/<name>/<version>/``.

    Args:
        path: An existing run folder.

    Raises:
        InputError: There is no ``run.json`` in it, or it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        path = self.path / "run.json"
        try:
            record = json.loads(path.read_bytes(), parse_constant=lambda name: None)  # NaN is no value
        except OSError:
            raise InputError(
                f"{quoted(self.path)}: is no run folder (it holds no readable run.json)"
            ) from None
        except ValueError as error:  # no JSON, or no text at all
            raise InputError(f"{quoted(path)}: is damaged ({error})") from None
        if not isinstance(record, dict):
            raise InputError(f"{quoted(path)}: is damaged (holds no object with fields)")
        self.record: dict[str, Any] = record

    @classmethod
    def create(cls, logs: str | Path, name: str, **record: Any) -> "Run":
        """Create the folder of a new run, and write first fields of ``run.json``; see ``check_name``.

        Runs that start at the same time never share a folder.

        Raises:
            InputError: The name is no plain folder name, or the folder cannot be written.
        """
        check_name(name)
        parent = Path(logs) / name
        with reports_unwritable(f"--logs {quoted(logs)}"):
            parent.mkdir(parents=True, exist_ok=True)
            version = 1 + max(
                (int(match[1]) for match in map(_VERSION.fullmatch, os.listdir(parent)) if match), default=-1
            )
            while True:
                path = parent / f"version_{version}"
                try:
                    path.mkdir()
                    break
                except FileExistsError:  # another run has created it in the meantime
                    version += 1
            start = {"name": name, "status": "running", "started": _now(), "finished": None}
            study = {"study": json.loads(os.environ[STUDY])} if STUDY in os.environ else {}
            write_file(path / "run.json", to_json({**start, **record, **study}))
        return cls(path)

    @classmethod
    def find(cls, path: str | Path, *, writes: bool = False) -> "Run":
        """Open a run folder, the newest finished run of a folder ``logs/<name>``, or a shipped network.

        A run that was shortened for debugging is found by its own folder only, not by ``logs/<name>``.

        Args:
            path: A folder; or, where there is no such path, the name of a shipped network.
            writes: The caller writes into the folder, so it gets a copy of a shipped network.

        Raises:
            InputError: There is neither.
        """
        path = find_shipped(path) or Path(path)
        if writes and is_shipped(path):
            path = copy_shipped(path)
        if not os.path.exists(path):
            raise no_such_run(path)
        if os.path.exists(path / "run.json") or not os.path.isdir(path):
            return cls(path)
        runs = cls.all(path)[::-1]
        finished = [run for run in runs if run.status == "finished"]
        whole = next((run for run in finished if not run.shortened_by), None)
        if whole is None:
            reason = "a run folder, or logs/NAME, is wanted"
            if finished:
                reason = f"{quoted(finished[0].path)} is a debug run, by {finished[0].shortened_by}"
            elif runs:
                reason = f"{quoted(runs[0].path)} is {runs[0].state}"
            raise InputError(f"{quoted(path)}: holds no finished run ({reason})")
        return whole

    @classmethod
    def all(cls, folder: str | Path) -> list["Run"]:
        """Open every run folder directly below a folder, oldest first; damaged ones are left out."""
        runs = []
        for child in sorted(Path(folder).glob("*/run.json")):
            with contextlib.suppress(InputError):
                runs.append(cls(child.parent))
        return sorted(runs, key=lambda run: (str(run.record.get("started", "")), run.version))

    @property
    def is_shipped(self) -> bool:
        """Whether it is a network of the package, whose folder must not be written to."""
        return is_shipped(self.path)

    @property
    def reference(self) -> str:
        """What names it in a configuration: a shipped network's name, whose folder depends on the machine."""
        return self.path.resolve().name if self.is_shipped else str(self.path)

    @property
    def version(self) -> int:
        """The number in the folder's name, or -1."""
        match = _VERSION.fullmatch(self.path.name)
        return int(match[1]) if match else -1

    def update(self, **record: Any) -> None:
        """Write fields into ``run.json``, atomically; if that fails, the old record stays."""
        updated = self.record | record
        write_file(self.path / "run.json", to_json(updated))
        self.record = updated

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in the folder; the lock ends with this one, however it ends.

        Raises:
            InputError: Another process holds it, or the folder cannot be written.
        """
        with locked_folder(self.path, timeout=0) as refusal:
            if isinstance(refusal, TimeoutError):
                raise InputError(f"{quoted(self.path)}: is being trained by another process")
            if refusal is not None:
                raise InputError(
                    f"{quoted(self.path)}: cannot be written ({refusal.strerror}); copy it to where it can"
                )
            yield

    def remove_derived(self) -> None:
        """Remove what later scripts made of the weights, which are going to change."""
        for path in (self.path / name for name in DERIVED):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def finish(self, status: str, error: BaseException | None = None, **record: Any) -> None:
        """Mark the run ``finished``, ``failed`` or ``stopped``, now, with last fields of ``run.json``."""
        reason = None if error is None else describe(error)
        self.update(status=status, finished=_now(), error=reason, **record)

    def save_predictions(self, part: str, predictions: Predictions, compact: bool = False) -> None:
        """Write ``predictions/<part>.npz``, see ``write_predictions``; ``part`` is ``val`` or ``test``."""
        write_predictions(self._predictions_file(part), predictions, compact)

    def predictions(self, part: str) -> Predictions:
        """Read ``predictions/<part>.npz`` and check its arrays.

        Raises:
            InputError: It is missing or damaged.
        """
        path = self._predictions_file(part)
        try:
            return read_predictions(path)
        except FileNotFoundError:
            if part == "test" and not self.is_tested:
                raise InputError(f"{quoted(self.path)}: {UNTESTED}") from None
            raise InputError(
                f"{quoted(path)}: is missing, so this run has no predictions of {part}"
            ) from None

    def save_photographs(self, images: np.ndarray, logits: np.ndarray, targets: np.ndarray) -> None:
        """Write ``predictions/photographs.npz``, atomically: validation photographs of known garments.

        Args:
            images: uint8 (P, 28, 28).
            logits: float32 (P, 10).
            targets: float32 (P, 10), 1 for each class that is right.
        """
        arrays = {"images": images, "logits": logits, "targets": targets}
        write_arrays(self._predictions_file("photographs"), arrays)

    def photograph_images(self) -> np.ndarray:
        """Read the images of ``predictions/photographs.npz``, uint8 (P, 28, 28); none without it.

        Raises:
            InputError: It is damaged.
        """
        path = self._predictions_file("photographs")
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return arrays["images"]
        except FileNotFoundError:
            return np.empty((0, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        except Exception as error:  # a damaged archive raises nearly anything
            raise InputError(f"{quoted(path)}: is damaged ({error})") from None

    def remove_predictions(self, part: str) -> None:
        """Remove the predictions of ``part``, if there are any."""
        self._predictions_file(part).unlink(missing_ok=True)

    def has_predictions(self, part: str) -> bool:
        """Return whether there is a file of predictions of ``part``."""
        return self._predictions_file(part).exists()

    def _predictions_file(self, part: str) -> Path:
        return self.path / "predictions" / f"{part}.npz"

    @property
    def kind(self) -> str:
        """``lightning`` for a network, ``scikit-learn`` for an estimator."""
        return str(self.record.get("kind"))

    @property
    def status(self) -> str:
        """``running``, ``finished``, ``stopped``, ``failed``, or ``pruned`` by a search."""
        return str(self.record.get("status"))

    @property
    def state(self) -> str:
        """The status for people; of a killed run, nothing tells that it is not running any more."""
        if self.status == "failed" and self.record.get("error"):
            return f"failed ({self.record['error']:.200})"
        return "running, or was killed" if self.status == "running" else self.status

    @property
    def is_scored(self) -> bool:
        """Whether it has its results: it is finished, or ``max_time`` cut it short and it was scored."""
        cut_short = self.status == "stopped" and self.record.get("ended_by") == "max_time"
        return self.status == "finished" or cut_short

    @property
    def is_tested(self) -> bool:
        """Whether its configuration has it tested; the trials of a search are not (``--test false``)."""
        return self.config.get("test") is not False

    @property
    def split(self) -> dict[str, Any]:
        """The split of the data in numbers; empty where none is recorded."""
        split = self.record.get("split")
        return {"fold": 0, **split} if isinstance(split, dict) else {}  # version 0.1.0 had no folds

    @property
    def score_type(self) -> str:
        """What the ``logits`` of its predictions are.

        ``logits`` or ``log-probabilities``, which state probabilities; ``decision scores``; or
        ``decisions``, 1 or 0.
        """
        return str(self.record.get("scores") or "logits")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved configuration in ``config.yaml``; empty where it cannot be read."""
        try:
            config = yaml.safe_load((self.path / "config.yaml").read_text())
        except (OSError, ValueError, yaml.YAMLError):
            return {}
        return config if isinstance(config, dict) else {}

    @property
    def shortened_by(self) -> str:
        """The Trainer's flags that kept a run for debugging from part of its data; empty for any other."""
        return shortening_flags(self.config)

    def metrics(self, part: str) -> dict[str, Any]:
        """Return the recorded metrics of ``part``, such as ``test``; none where there are none."""
        return (self.record.get("metrics") or {}).get(part) or {}

    def history(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Read ``metrics.csv``: each metric's epochs (n,) and values (n,), where it was measured."""
        with (self.path / "metrics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {
            name: (
                np.array([int(row["epoch"]) for row in rows if row[name]]),
                np.array([float(row[name]) for row in rows if row[name]]),
            )
            for name in (rows[0] if rows else ())
            if name != "epoch"
        }


NETWORK_FILES = (Path("checkpoints", "best.ckpt"), Path("checkpoints", "weights.safetensors"))
"""Where a network's run keeps its weights: with the state of the training, or in a shipped run without it."""


def network_file(folder: Path) -> Path:
    """Return the file of the weights of a run folder; the first of ``NETWORK_FILES`` where there is none."""
    return next(
        (folder / path for path in NETWORK_FILES if (folder / path).exists()), folder / NETWORK_FILES[0]
    )


STUDIES = "studies"
"""Folder of all studies, below that of all runs; too deep for ``compare.py LOGS`` to look into."""
RESERVED = (COPIES.name, STUDIES)
"""Folders of ``logs/`` that hold no runs of their name: copies of shipped networks, and studies."""
DERIVED = (
    *("detection.npz", "shifts.json", "shifts.csv", "metrics.json", "report.html", "photographs"),
    *("classification_report.csv", "classification_report.txt", "figures", "export"),
)
"""What is made of a run's weights, and can be made again."""
_VERSION = re.compile(r"version_(\d+)")


def describe(error: BaseException) -> str:
    """Return an exception in one line, with its kind unless it is the user's input that was wrong."""
    text, kind = one_line(error, 1_000), type(error).__name__
    return text if isinstance(error, InputError) or text == kind else f"{kind}: {text}"


def no_such_run(path: Path) -> InputError:
    """Return the error about a path that does not exist, with the nearest name that does."""
    names = []
    with contextlib.suppress(OSError):
        names = os.listdir(path.parent)
    close = difflib.get_close_matches(path.name, names, n=1)
    hint = (
        f"did you mean {quoted(path.parent / close[0])}?"
        if close
        else "train first, or name a run that logs/ holds"
    )
    if path.parts == (path.name,):
        hint += f"; the shipped networks are {', '.join(shipped_names())}"
    return InputError(f"{quoted(path)}: is no run folder (it does not exist; {hint})")


def check_name(name: str, flag: str = "--name") -> None:
    """Refuse a run name that is not one plain folder name.

    Raises:
        InputError: It is not.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        raise InputError(
            f"{flag} {name!r}: must be letters, digits, '.', '_' and '-', and not begin with '.'"
        )
    if name in RESERVED:
        raise InputError(f"{flag} {name}: is the name of another folder of --logs; take another name")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
