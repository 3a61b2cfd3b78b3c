"""What a search was worth on the test set: the record that its end leaves in the study's folder."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmnist.core.errors import InputError
from fmnist.core.runs import Run

RECORD = "finish.json"
COMPARISON = "comparison"
"""Folder of the page that compares the best setting with the default one."""


@dataclass(frozen=True)
class Outcome:
    """What a search was worth on the test set.

    Attributes:
        trial: Number of the trial whose setting was the best.
        best: The runs of that setting, by rising seed.
        default: The runs of the configuration without it.
        sentences: What came of it, in words.
    """

    trial: int
    best: list[Run]
    default: list[Run]
    sentences: list[str]


def read_outcome(folder: Path) -> Outcome | None:
    """Read what ``finish`` has left in a study's folder; None where there is nothing."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text())
        best, default = ([Run(path) for path in record[part]] for part in ("best", "default"))
        return Outcome(record["trial"], best, default, record["sentences"])
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None
