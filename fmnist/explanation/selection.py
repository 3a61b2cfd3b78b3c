"""Which images are explained: of the test set, or pictures of one's own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.core.runs import Predictions, Run
from fmnist.data import source
from fmnist.explanation.output import distinct
from fmnist.pictures import find_pictures, prepare, printable, read_picture

PAIR_NUMBER = 16


@dataclass(frozen=True)
class Selection:
    """Images to explain.

    Attributes:
        names: Of the images; no two make the same name of a file.
        images: uint8 (N, 28, 28).
        labels: True classes int64 (N,); None for pictures of one's own.
    """

    names: tuple[str, ...]
    images: np.ndarray
    labels: np.ndarray | None


def load_test_set(run: Run, root: str) -> Selection:
    """Read the test images that the run's predictions are of.

    Args:
        run: The run.
        root: Folder of the data.

    Raises:
        InputError: The data cannot be had, or are others than the run was trained on.
    """
    data = source.load(root)
    if run.record.get("data_sha256", data.sha256) != data.sha256:
        raise InputError(f"--data.root {root}: holds other data than {run.path} was made with")
    return _of_test_set(data.test_images.numpy(), data.test_labels.numpy(), np.arange(len(data.test_labels)))


def by_index(test: Selection, indices: list[int]) -> Selection:
    """Choose test images by their number.

    Raises:
        InputError: There is no such image.
    """
    for index in indices:
        if not 0 <= index < len(test.images):
            raise InputError(f"--indices {index}: must lie between 0 and {len(test.images) - 1:,}")
    return _of_test_set(test.images, _labels(test), np.array(indices))


def first_of_each_class(test: Selection) -> Selection:
    """Choose the first test image of every class."""
    labels = _labels(test)
    return by_index(test, [int(np.flatnonzero(labels == label)[0]) for label in np.unique(labels)])


def worst(test: Selection, predictions: Predictions, number: int | None, pair: list[int] | None) -> Selection:
    """Choose the test images that a run is most confidently wrong about.

    Args:
        test: The whole test set.
        predictions: The run's, of that set.
        number: Images at most; None takes 16.
        pair: Only images of one of these classes that are taken for the other.

    Raises:
        InputError: The number is below 1, or there is no such mistake.
    """
    if number is not None and number < 1:
        raise InputError(f"--worst {number}: must be at least 1")
    predicted = predictions.logits.argmax(1)
    wrong = predicted != predictions.labels
    if pair is not None:
        wrong &= np.isin(predicted, pair) & np.isin(predictions.labels, pair)
    if not wrong.any():
        mistakes = f"between {CLASSES[pair[0]]} and {CLASSES[pair[1]]}" if pair else "on the test set"
        raise InputError(f"--{'pair' if pair else 'worst'}: this run makes no mistake {mistakes}")
    confidence = np.where(wrong, predictions.probabilities.max(1), -1)
    order = np.argsort(-confidence, kind="stable")[: min(number or PAIR_NUMBER, wrong.sum())]
    return by_index(test, predictions.indices[order].tolist())


def pictures(folder: str | Path) -> tuple[Selection, list[str]]:
    """Read the pictures of a folder, and of those in it, as ``scripts/predict.py`` would.

    Args:
        folder: The folder.

    Returns:
        The pictures as the networks see them, and a line for each that cannot be read or in which
        something is amiss.

    Raises:
        InputError: There is no such folder, or no picture in it that can be read.
    """
    folder = Path(folder)
    read: dict[str, np.ndarray] = {}
    refused, doubtful = [], []
    for path in find_pictures([folder]):
        try:
            prepared = prepare(read_picture(path))
        except InputError as error:
            refused.append(str(error))
            continue
        read[printable(path.relative_to(folder) if path != folder else Path(path.name))] = prepared.image
        if prepared.flags:
            doubtful.append(f"{printable(path)}: {', '.join(prepared.flags)}")
    if not read:
        others = f", and {len(refused) - 1:,} more" if len(refused) > 1 else ""
        raise InputError(f"--images {folder}: holds no picture that can be read\n{refused[0]}{others}")
    lines = [*doubtful, *(f"skipped {reason}" for reason in refused)]
    return Selection(tuple(distinct(list(read))), np.stack(list(read.values())), None), lines


def _of_test_set(images: np.ndarray, labels: np.ndarray, indices: np.ndarray) -> Selection:
    names = tuple(f"test-{index:05d}" for index in indices)
    return Selection(names, images[indices], labels[indices])


def _labels(selection: Selection) -> np.ndarray:
    assert selection.labels is not None, "of the test set, every image has a label"
    return selection.labels
