"""Answers for pictures: the likeliest classes, their probabilities, and when not to trust them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from fmnist.core.calibration import fit_temperature
from fmnist.core.constants import CLASSES
from fmnist.core.runs import Run
from fmnist.core.statistics import softmax
from fmnist.inference.detection import Detector, run_model
from fmnist.inference.predictor import Predictor
from fmnist.inference.preparing import Picture
from fmnist.pictures.quality import CUT_OFF, LOW_CONTRAST, SEVERAL_OBJECTS

BATCH = 64
"""Images that a model sees at once, always: in batches of another size, the last bits would differ."""
CHOICES = 3
LEAST_PROBABILITY = 0.6
UNLIKE = "unlike anything it was trained on"
DOUBTFUL_FLAGS = (LOW_CONTRAST, SEVERAL_OBJECTS, CUT_OFF)


@dataclass(frozen=True)
class Answer:
    """What a run says of a picture.

    Attributes:
        picture: The file, and what became of it.
        choices: The likeliest classes with their probabilities, the likeliest first; empty for a file that
            gave no image.
        unsure: Why the answer should not be trusted; empty where nothing speaks against it.
        distance: How unlike the training images it is, as the detector scores; None without one.
    """

    picture: Picture
    choices: tuple[tuple[str, float], ...] = ()
    unsure: tuple[str, ...] = ()
    distance: float | None = None


def find_temperature(run: Run) -> float | None:
    """Return the temperature that calibrates a run's probabilities, None without validation images.

    Raises:
        InputError: Its predictions of them are damaged.
    """
    if not (run.path / "predictions" / "val.npz").exists():
        return None
    val = run.predictions("val")
    return fit_temperature(val.logits, val.labels) if len(val.labels) else None


def answer(
    predictor: Predictor,
    pictures: Iterable[Picture],
    temperature: float = 1.0,
    detector: Detector | None = None,
    least: float = LEAST_PROBABILITY,
) -> Iterator[Answer]:
    """Answer for pictures one after the other, without waiting for all.

    An answer depends on its own picture alone, to the last bit.

    Args:
        predictor: The run that is asked.
        pictures: In order.
        temperature: Of the run's probabilities.
        detector: Says which images are too unlike the training images.
        least: Probability that an answer must have to be sure.

    Yields:
        An answer for every picture, in order.
    """
    remaining = iter(pictures)
    while part := list(islice(remaining, BATCH)):
        images = [picture.image for picture in part if picture.image is not None]
        if not images:
            yield from map(Answer, part)
            continue
        batch = np.zeros((BATCH, 28, 28), np.uint8)
        batch[: len(images)] = images
        outputs = run_model(predictor, batch)
        scores = softmax(outputs.logits, temperature)
        distances = detector.score(outputs) if detector else np.full(BATCH, np.nan)
        rows = iter(zip(scores, distances, strict=True))
        for picture in part:
            if picture.image is None:
                yield Answer(picture)
            else:
                yield _answer(picture, *next(rows), detector, least)


def _answer(
    picture: Picture, scores: np.ndarray, distance: float, detector: Detector | None, least: float
) -> Answer:
    best = np.argsort(-scores, kind="stable")[:CHOICES]
    choices = tuple((CLASSES[label], float(scores[label])) for label in best)
    unlike = detector is not None and distance > detector.threshold
    reasons = [UNLIKE] if unlike else []
    if choices[0][1] < least:
        reasons.append(f"close call between {choices[0][0]} and {choices[1][0]}")
    reasons += [flag for flag in picture.flags if flag in DOUBTFUL_FLAGS]
    return Answer(picture, choices, tuple(reasons), float(distance) if detector else None)
