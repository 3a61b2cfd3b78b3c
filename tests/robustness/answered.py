"""Answers for labelled photographs, made by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fmnist.inference.answers import Answer
from fmnist.pictures import LabelledFolder, PreparedFile
from fmnist.robustness.labelled_answers import LabelledAnswers

CLASSES = {"dress": (3,), "tops": (0, 6), "hat": ()}
CLOSE = "close call between Dress and Coat"


class Given(NamedTuple):
    """A photograph's subfolder, the class answered (none: no answer), and the rest of the answer."""

    folder: str
    answer: str = ""
    probability: float = 0.9
    unsure: Sequence[str] = ()
    distance: float | None = 0.5


GIVEN = (
    Given("dress", "Dress", 0.9),
    Given("dress", "Coat", 0.8, ["low contrast"]),
    Given("dress", "Coat", 0.7),
    Given("dress"),
    Given("tops", "Shirt", 0.6),
    Given("tops", "T-shirt/top", 0.55, [CLOSE, "low contrast"]),
    Given("hat", "Bag", 0.5, distance=0.9),
    Given("hat", "Bag", 0.4, ["close call between Bag and Coat"], 0.4),
    Given("hat"),
)


def answer(given: Sequence[Given] = GIVEN, root: Path = Path("photographs")) -> LabelledAnswers:
    """Return the answers for files ``FOLDER/NUMBER.png``; there are no such files."""
    folders = tuple(one.folder for one in given)
    files = tuple(root / folder / f"{number}.png" for number, folder in enumerate(folders))
    classes = {folder: CLASSES[folder] for folder in dict.fromkeys(folders)}
    image = np.zeros((28, 28), np.uint8)
    answers = [
        Answer(
            PreparedFile(str(file), "ok", (), image), ((one.answer, one.probability),), tuple(one.unsure),
            one.distance,
        )
        if one.answer
        else Answer(PreparedFile(str(file), "nothing found"))
        for file, one in zip(files, given, strict=True)
    ]  # fmt: skip
    return LabelledAnswers(LabelledFolder(root, files, folders, classes, (), ()), answers)


def measured(name: str, given: Sequence[Given] = GIVEN, sha256: str = "e69c") -> dict[str, object]:
    """Return what ``photographs/NAME.json`` holds of the answers."""
    about = {"name": name, "folder": "photographs", "sha256": sha256, "left_out": [], "other_files": 0}
    return {**about, "notes": [], **answer(given).measure()}
