"""Classify prepared pictures: the likeliest classes, their probabilities, and reasons not to trust them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np

from fmnist.core.calibration import find_temperature
from fmnist.core.constants import CLASSES, IMAGE_SIZE, LEAST_PROBABILITY
from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.core.statistics import softmax
from fmnist.core.tables import counted
from fmnist.inference.detection import Detector, find_detector, run_model
from fmnist.inference.predictor import Predictor
from fmnist.pictures import PreparedFile
from fmnist.pictures.preparation import LOW_CONTRAST, SEVERAL_OBJECTS, TOO_LARGE

BATCH = 64
"""Images in a batch. Batches are always full, because in one of another size the last bits would differ."""
TOP = 3
UNLIKE = "unlike anything it was trained on"
CLOSE_CALL = "close call"  # followed by the two classes
DOUBTFUL_FLAGS = (LOW_CONTRAST, SEVERAL_OBJECTS, TOO_LARGE)
"""Problems of a picture that make its answer unsure. Of 202 real photographs of garments that the frame cuts
off, as many were right as of the others."""


@dataclass(frozen=True)
class Answer:
    """What a run answers for a picture file.

    Attributes:
        picture: The prepared file.
        choices: The likeliest classes and their probabilities, in that order; empty without an image.
        unsure: Reasons not to trust the answer.
        distance: Score of the detector, higher for images that are less like the training images; ``None``
            without a detector.
    """

    picture: PreparedFile
    choices: tuple[tuple[str, float], ...] = ()
    unsure: tuple[str, ...] = ()
    distance: float | None = None

    @property
    def notes(self) -> list[str]:
        """The picture's problems that are no reason to doubt the answer."""
        return [flag for flag in self.picture.flags if flag not in self.unsure]


def picture_classifier(
    predictor: Predictor, root: str = "data", threshold: float = LEAST_PROBABILITY
) -> tuple[Callable[[Iterable[PreparedFile]], Iterator[Answer]], list[str]]:
    """Return a finished run as a function from prepared pictures to answers, and notes on what it lacks.

    Its probabilities are calibrated, and its detector knows the training images, as far as the run and the
    data set in ``root`` allow. The likeliest class of a sure answer has at least the probability
    ``threshold``.

    Raises:
        InputError: The run's model cannot be loaded, or the threshold is no probability.
    """
    if not 0 <= threshold <= 1:
        raise InputError(f"--threshold {threshold:g}: must lie between 0 and 1")
    temperature, detector = find_temperature(predictor.run), find_detector(predictor, root)
    classifier = partial(
        classify, predictor, temperature=temperature or 1.0, detector=detector, threshold=threshold
    )
    return classifier, _notes(predictor.run, temperature, detector)


def _notes(run: Run, temperature: float | None, detector: Detector | None) -> list[str]:
    notes = []
    if run.score_type.startswith("decision"):
        notes.append(
            "this estimator has no probabilities; those shown rank the classes, and are much the same for "
            "every picture"
        )
    if temperature is None:
        notes.append("this run has no validation images, so its probabilities are not calibrated")
    if detector is None:
        notes.append(
            "there are neither data nor validation images, so pictures unlike the training images are not "
            "recognised"
        )
    elif detector.note:
        notes.append(detector.note)
    elif count := len(run.photograph_images()):
        notes.append(
            f"pictures count as unlike the training images only beyond the distance that 95 % of this run's "
            f"{counted(count, 'validation photograph')} keep, or of its validation images, if that is more"
        )
    return notes


def classify(
    predictor: Predictor,
    pictures: Iterable[PreparedFile],
    temperature: float = 1.0,
    detector: Detector | None = None,
    threshold: float = LEAST_PROBABILITY,
) -> Iterator[Answer]:
    """Classify pictures as they arrive, in order.

    Batches have one size, whatever files cannot be read. So an answer depends on its own picture only, but
    for the last digits: some matrix products round differently at another place in the batch.
    """
    remaining = iter(pictures)
    while part := list(islice(remaining, BATCH)):
        batch = np.zeros((BATCH, IMAGE_SIZE, IMAGE_SIZE), np.uint8)
        for image, picture in zip(batch, part, strict=False):
            if picture.image is not None:
                image[:] = picture.image
        outputs = run_model(predictor, batch)
        probabilities = softmax(outputs.logits, temperature)
        distances = detector.score(outputs) if detector else np.full(BATCH, np.nan)
        for picture, row, distance in zip(part, probabilities, distances, strict=False):
            has_image = picture.image is not None
            yield _answer(picture, row, distance, detector, threshold) if has_image else Answer(picture)


def _answer(
    picture: PreparedFile,
    probabilities: np.ndarray,
    distance: float,
    detector: Detector | None,
    threshold: float,
) -> Answer:
    likeliest = np.argsort(-probabilities, kind="stable")[:TOP]
    choices = tuple((CLASSES[label], float(probabilities[label])) for label in likeliest)
    reasons = []
    if detector is not None and distance > detector.threshold:
        reasons.append(UNLIKE)
    if choices[0][1] < threshold:
        reasons.append(f"{CLOSE_CALL} between {choices[0][0]} and {choices[1][0]}")
    reasons += [flag for flag in picture.flags if flag in DOUBTFUL_FLAGS]
    return Answer(picture, choices, tuple(reasons), float(distance) if detector else None)
