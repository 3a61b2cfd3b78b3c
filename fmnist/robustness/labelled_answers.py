"""How well a run's answers fit labelled photographs, and whether it refuses foreign garments.

A photograph is refused if its answer is unsure, or if it has none: nothing was found, or it cannot be read.
Without an answer, one of a known garment also counts as wrong.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fmnist.core.calibration import risk_at_coverages
from fmnist.core.constants import CLASSES
from fmnist.core.tables import Row
from fmnist.inference.answers import CLOSE_CALL, Answer
from fmnist.inference.predict import table_of
from fmnist.pictures import LabelledFolder, printable
from fmnist.robustness.measure import separation

NO_ANSWER = "no answer"
PREDICTIONS = (*CLASSES, NO_ANSWER)
"""Columns of the confusion matrix; a row is a subfolder."""


@dataclass(frozen=True)
class LabelledAnswers:
    """The answers of a run for labelled photographs, N of them.

    Attributes:
        labelled: The photographs.
        answers: For each of them, in the same order.
    """

    labelled: LabelledFolder
    answers: Sequence[Answer]

    @cached_property
    def folders(self) -> np.ndarray:
        """The subfolders, str (N,)."""
        return np.array(self.labelled.folders)

    @cached_property
    def known(self) -> np.ndarray:
        """Whether the garment is of a class of the data set, bool (N,)."""
        return np.array([bool(self.labelled.answers[folder]) for folder in self.labelled.folders])

    @cached_property
    def predicted(self) -> np.ndarray:
        """Places in ``PREDICTIONS``, int64 (N,)."""
        names = (answer.choices[0][0] if answer.choices else NO_ANSWER for answer in self.answers)
        return np.array([PREDICTIONS.index(name) for name in names])

    @cached_property
    def answered(self) -> np.ndarray:
        """Whether there is an answer, bool (N,)."""
        return self.predicted < len(CLASSES)

    @cached_property
    def probability(self) -> np.ndarray:
        """Of the predicted class, float64 (N,); 0 without an answer."""
        return np.array([answer.choices[0][1] if answer.choices else 0.0 for answer in self.answers])

    @cached_property
    def right(self) -> np.ndarray:
        """Whether the predicted class is one of the right ones, bool (N,)."""
        pairs = zip(self.predicted.tolist(), self.labelled.folders, strict=True)
        return np.array([label in self.labelled.answers[folder] for label, folder in pairs])

    @cached_property
    def refused(self) -> np.ndarray:
        """Whether the answer is unsure or missing, bool (N,)."""
        return np.array([not answer.choices or bool(answer.unsure) for answer in self.answers])

    def name(self, number: int) -> str:
        """Return the path of a photograph below the folder, in printable characters."""
        return printable(self.labelled.files[number].relative_to(self.labelled.path))

    def right_names(self, folder: str) -> list[str]:
        """Return the names of the classes that are right for a subfolder."""
        return [CLASSES[number] for number in self.labelled.answers[folder]]

    def rows(self) -> list[Row]:
        """Return a row for each photograph, as `scripts/predict.py` writes it, with what is right.

        ``right`` is None where the garment is foreign.
        """
        rows = []
        for number, row in enumerate(table_of(self.answers).rows):
            right = bool(self.right[number]) if self.known[number] else None
            folder = self.labelled.folders[number]
            rows.append({"folder": folder, **row, "file": self.name(number), "right": right})
        return rows

    def sample(self, size: int) -> list[int]:
        """Return about ``size`` photographs with an answer, evenly spaced in each subfolder."""
        each = -(-size // len(self.labelled.answers))
        chosen: list[int] = []
        for folder in self.labelled.answers:
            places = np.flatnonzero((self.folders == folder) & self.answered)
            steps = np.linspace(0, len(places), min(each, len(places)), endpoint=False)
            chosen += places[steps.astype(int)].tolist()
        return chosen

    def errors(self) -> list[int]:
        """Return the errors: wrong classes, and foreign garments that are not refused.

        Those that are sure come first, then the more probable ones.
        """
        is_error = self.answered & np.where(self.known, ~self.right, ~self.refused)
        errors = np.flatnonzero(is_error)
        return errors[np.lexsort((-self.probability[errors], self.refused[errors]))].tolist()

    def unanswered(self) -> list[Row]:
        """Return ``file`` and ``reason`` of each photograph without an answer."""
        return [
            {"file": self.name(number), "reason": answer.picture.status}
            for number, answer in enumerate(self.answers)
            if not answer.choices
        ]

    def measure(self) -> dict[str, Any]:
        """Return all figures, ready for JSON.

        Shares have ``value``, ``low`` and ``high``, the 95 % interval by Wilson; the share of no photographs
        is None.
        """
        known = self.known
        confusion = [
            np.bincount(self.predicted[self.folders == folder], minlength=len(PREDICTIONS)).tolist()
            for folder in self.labelled.answers
        ]
        return {
            "known": self._figures(known),
            "foreign": self._figures(~known),
            "folders": [
                {"folder": name, "classes": self.right_names(name), **self._figures(self.folders == name)}
                for name in self.labelled.answers
            ],
            "confusion": confusion,
            "risk_coverage": (
                risk_at_coverages(self.probability[known], self.right[known]) if known.any() else None
            ),
            "foreign_detection": {
                "probability": self._detection(1 - self.probability),
                "distance": self._detection(np.array([answer.distance for answer in self.answers], float)),
            },
            "reasons": self._reasons(),
            "without_answer": self.unanswered(),
        }

    def _figures(self, chosen: np.ndarray) -> dict[str, Any]:
        """Return the figures of some photographs, chosen by bool (N,)."""
        known = chosen & self.known
        return {
            "photographs": int(chosen.sum()),
            "unanswered": int((chosen & ~self.answered).sum()),
            "accuracy": _share(self.right[known]),
            "refused": _share(self.refused[chosen]),
            "sure_accuracy": _share(self.right[known & ~self.refused]),
        }

    def _detection(self, scores: np.ndarray) -> dict[str, float] | None:
        """Return how well scores (N,) tell foreign garments, which should have higher ones, from known ones.

        Without an answer, a photograph counts as more foreign than any other. None where all garments are of
        one kind, or without scores.
        """
        answered, known = self.answered, self.known
        if known.all() or not known.any() or not answered.any() or np.isnan(scores[answered]).any():
            return None
        scores = np.where(answered, scores, scores[answered].max() + 1)
        return separation(scores[known], scores[~known])

    def _reasons(self) -> list[Row]:
        """Return how often each reason to refuse occurs; an answer may have several."""
        counts = {"known": Counter[str](), "foreign": Counter[str]()}
        for answer, known in zip(self.answers, self.known, strict=True):
            # which two classes are a close call does not matter
            reasons = {
                CLOSE_CALL if reason.startswith(CLOSE_CALL) else reason
                for reason in answer.unsure or (() if answer.choices else (NO_ANSWER,))
            }
            counts["known" if known else "foreign"].update(reasons)
        total = counts["known"] + counts["foreign"]
        return [
            {"reason": reason, **{kind: count[reason] for kind, count in counts.items()}}
            for reason, _ in total.most_common()
        ]


def _share(values: np.ndarray) -> dict[str, float] | None:
    """Return the mean of bool (N,) with its 95 % interval by Wilson (1927), which is honest for few, too."""
    if not len(values):
        return None
    from scipy.stats import binomtest  # half a second that not every command needs

    counted = binomtest(int(values.sum()), len(values))
    low, high = counted.proportion_ci(method="wilson")
    return {"value": float(counted.statistic), "low": float(low), "high": float(high)}
