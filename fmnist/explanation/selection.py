"""What is explained: which images, of the test set or of one's own, and the evidence for which class."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError, quoted
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.core.statistics import most_confident, softmax
from fmnist.data.of_run import data_of
from fmnist.pictures import find_pictures, prepare_files, printable

WORST = 16  # mistakes drawn where no number is given
LONGEST_NAME = 200  # bytes of a file name; file systems allow 255, its ending included
PREDICTED, TRUE = "predicted", "true"
VERSUS = "-vs-"
Side = str | int
"""``"predicted"``, ``"true"``, or a class."""


@dataclass(frozen=True)
class Selection:
    """Images to explain.

    Attributes:
        names: Of the images; no two give the same file name.
        images: uint8 (N, 28, 28).
        labels: True classes int64 (N,); None for pictures of one's own.
        flags: Of pictures of one's own, the problems of each, see ``PreparedFile``.
    """

    names: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray | None
    flags: tuple[tuple[str, ...], ...] | None = None

    def subset(self, indices: Sequence[int] | np.ndarray) -> "Selection":
        """Return the images of the test set at these places."""
        places = np.asarray(indices)
        labels = None if self.labels is None else self.labels[places]
        return Selection(tuple(self.names[place] for place in places), self.images[places], labels)


def load_test_set(run: Run, root: str) -> Selection:
    """Read the test images that the run's predictions are of; missing data are downloaded.

    Raises:
        InputError: The data cannot be had, or differ from those that the run was trained on.
    """
    data = data_of(run, root, download=True).data
    names = tuple(f"test-{index:05d}" for index in range(len(data.test_labels)))
    return Selection(names, data.test_images.numpy(), data.test_labels.numpy())


def by_index(test: Selection, indices: list[int]) -> Selection:
    """Choose test images by their numbers, see ``--indices``."""
    for index in indices:
        if not 0 <= index < len(test.images):
            raise InputError(f"--indices {index}: must lie between 0 and {len(test.images) - 1:,}")
    return test.subset(indices)


def first_of_each_class(test: Selection) -> Selection:
    """Choose the first test image of every class."""
    assert test.labels is not None, "the test set has labels"
    return test.subset(np.unique(test.labels, return_index=True)[1])


def most_confident_mistakes(
    test: Selection,
    predictions: Predictions,
    number: int | None = None,
    pair: list[int] | None = None,
    temperature: float = 1.0,
) -> Selection:
    """Choose the test images that a run is most confidently wrong about.

    Args:
        test: The whole test set.
        predictions: Of that set.
        number: Images at most; None takes 16.
        pair: Only images of one of these two classes that are taken for the other.
        temperature: Divides the logits, so that the order is that of the run's report.

    Raises:
        InputError: The number is below 1, or there is no such mistake.
    """
    if number is not None and number < 1:
        raise InputError(f"--worst {number}: must be at least 1")
    predicted = predictions.predicted
    wrong = predicted != predictions.labels
    if pair is not None:
        wrong &= np.isin(predicted, pair) & np.isin(predictions.labels, pair)
    if not wrong.any():
        where = f"between {CLASSES[pair[0]]} and {CLASSES[pair[1]]}" if pair else "on the test set"
        raise InputError(f"--{'pair' if pair else 'worst'}: this run makes no mistake {where}")
    confidence = softmax(predictions.logits, temperature).max(1)
    worst = most_confident(np.flatnonzero(wrong), confidence, number or WORST)
    return by_index(test, predictions.indices[worst].tolist())


def read_pictures(folder: str | Path) -> tuple[Selection, list[str]]:
    """Read the pictures of a folder, and of the folders in it, as ``scripts/predict.py`` does.

    Returns:
        The prepared pictures, and a line for each file that cannot be read or may be prepared wrongly.

    Raises:
        InputError: The folder does not exist, or no picture in it can be read.
    """
    folder = Path(folder)
    images: dict[str, np.ndarray] = {}
    skipped, doubtful, flags = [], [], []
    paths = find_pictures([folder])
    for path, prepared in zip(paths, prepare_files(paths), strict=True):
        if prepared.image is None:
            skipped.append(f"{quoted(prepared.file)}: {prepared.status}")
            continue
        images[printable(path.relative_to(folder) if path != folder else Path(path.name))] = prepared.image
        flags.append(prepared.flags)
        if prepared.flags:
            doubtful.append(f"{quoted(prepared.file)}: {', '.join(prepared.flags)}")
    if not images:
        others = f", and {len(skipped) - 1:,} more" if len(skipped) > 1 else ""
        raise InputError(
            f"--images {quoted(folder)}: holds no picture that can be read\n{skipped[0]}{others}"
        )
    lines = [*doubtful, *(f"skipped {reason}" for reason in skipped)]
    names, arrays = tuple(distinct(list(images))), np.stack(list(images.values()))
    return Selection(names, arrays, None, tuple(flags)), lines


def as_file_name(text: str) -> str:
    """Return a text as part of a file name: letters of any script, digits, ``.``, ``_`` and single ``-``."""
    plain = re.sub(r"[^\w.]+", "-", text).strip("-.")
    return plain.encode()[:LONGEST_NAME].decode(errors="ignore") or "unnamed"


def distinct(names: Sequence[str]) -> list[str]:
    """Return names of which no two give the same file name, on file systems that ignore case either.

    A name that is taken already gets a number before it.
    """
    taken: set[str] = set()
    unique = []
    for name in names:
        numbered = (f"{number}-{name}" for number in itertools.count(2))
        free = next(n for n in itertools.chain([name], numbered) if as_file_name(n).casefold() not in taken)
        taken.add(as_file_name(free).casefold())
        unique.append(free)
    return unique


@dataclass(frozen=True)
class Target:
    """A class, or the contrast of two: "why a Shirt, and not a T-shirt/top?".

    Attributes:
        positive: The class that the evidence is for.
        negative: The class that it is against; None for no class in particular.
    """

    positive: Side
    negative: Side | None = None

    def __str__(self) -> str:
        sides = [self.positive] if self.negative is None else [self.positive, self.negative]
        return VERSUS.join(CLASSES[side] if isinstance(side, int) else side for side in sides)

    def coefficients(self, predicted: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Return what each image's logits are multiplied by, so that their sum is the number to explain.

        Args:
            predicted: Predicted classes (N,).
            labels: True classes (N,); None for pictures that have none.

        Returns:
            float32 (N, 10): 1 for the positive class, -1 for the negative one; all 0 where they are one
            class.

        Raises:
            InputError: The true class is asked for and there is none.
        """
        one_hot = np.eye(len(CLASSES), dtype=np.float32)
        coefficients = one_hot[_classes(self.positive, predicted, labels)]
        if self.negative is not None:
            coefficients -= one_hot[_classes(self.negative, predicted, labels)]
        return coefficients


def parse_target(text: str) -> Target:
    """Read ``--target``: ``predicted``, ``true``, a class, or two of them as ``A-vs-B``.

    Raises:
        InputError: It is something else, or the same class twice.
    """
    positive, versus, negative = text.partition(VERSUS)
    target = Target(_side(positive, text), _side(negative, text) if versus else None)
    if target.positive == target.negative:
        raise InputError(f"--target {text}: names one class twice, and it cannot differ from itself")
    return target


def parse_class(text: str, flag: str) -> int:
    """Return the class that a name (upper or lower case) or a number 0-9 means.

    Raises:
        InputError: There is none; ``flag`` is named.
    """
    names = [name.lower() for name in CLASSES]
    if text.lower() in names:
        return names.index(text.lower())
    if text.isascii() and text.isdigit() and int(text) < len(CLASSES):
        return int(text)
    raise InputError(f"{flag}: {text!r} is no class; there are {', '.join(CLASSES)}")


def describe_target(coefficients: Sequence[float] | np.ndarray) -> str:
    """Say in words what a row (10,) of ``Target.coefficients`` asks for."""
    values = np.asarray(coefficients)
    if not values.any():
        return "for nothing: the classes are one"
    against = f", not {CLASSES[values.argmin()]}" if values.min() < 0 else ""
    return f"for {CLASSES[values.argmax()]}{against}"


def _side(text: str, whole: str) -> Side:
    if text in (PREDICTED, TRUE):
        return text
    try:
        return parse_class(text, "--target")
    except InputError:
        raise InputError(
            f"--target {whole}: must be predicted, true, a class, or two of these as A{VERSUS}B; "
            f"the classes are {', '.join(CLASSES)}"
        ) from None


def _classes(side: Side, predicted: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """Return the class of each image that one side of a target means, int64 (N,)."""
    if isinstance(side, int):
        return np.full_like(predicted, side)
    if side == PREDICTED:
        return predicted
    if labels is None:
        raise InputError(f"--target {TRUE}: pictures of your own have no true class; use {PREDICTED}")
    return labels
