"""The question that a map answers: evidence for which class, and against which."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError

PREDICTED, TRUE = "predicted", "true"
VERSUS = "-vs-"
Side = str | int
"""``"predicted"``, ``"true"``, or a class."""


@dataclass(frozen=True)
class Target:
    """A class, or the contrast of two: "why a Shirt, and not a T-shirt/top?".

    Attributes:
        positive: What the evidence is for.
        negative: What it is against; None for nothing in particular.
    """

    positive: Side
    negative: Side | None = None

    def __str__(self) -> str:
        sides = [self.positive] if self.negative is None else [self.positive, self.negative]
        return VERSUS.join(CLASSES[side] if isinstance(side, int) else side for side in sides)

    def coefficients(self, predicted: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Return what each image's logits are multiplied by, so that their sum is the score to explain.

        Args:
            predicted: Predicted classes (N,).
            labels: True classes (N,); None for pictures that have none.

        Returns:
            float32 (N, 10): 1 for the class argued for, -1 for the one against; all 0 where they are
            one class.

        Raises:
            InputError: The true class is asked for and there is none.
        """
        rows = np.arange(len(predicted))
        signs = np.zeros((len(predicted), len(CLASSES)), np.float32)
        signs[rows, _classes(self.positive, predicted, labels)] += 1
        if self.negative is not None:
            signs[rows, _classes(self.negative, predicted, labels)] -= 1
        return signs


def parse_target(text: str) -> Target:
    """Read ``--target``: ``predicted``, ``true``, a class, or two of them as ``A-vs-B``.

    Raises:
        InputError: It is something else, or twice the same.
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


def describe(signs: Sequence[float] | np.ndarray) -> str:
    """Say in words what a row (10,) of ``Target.coefficients`` asks for."""
    values = np.asarray(signs)
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


def _classes(side: Side, predicted: np.ndarray, labels: np.ndarray | None) -> np.ndarray | int:
    if isinstance(side, int):
        return side
    if side == PREDICTED:
        return predicted
    if labels is None:
        raise InputError(f"--target {TRUE}: pictures of your own have no true class; use {PREDICTED}")
    return labels
