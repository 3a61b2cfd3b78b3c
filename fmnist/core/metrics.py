"""The table of metrics, each one number of the predictions.

An entry of ``METRICS`` is all that a new metric needs. It then appears in ``metrics.json``, as a key figure
of ``report.html``, and in the results of a comparison, in the page as in CSV and Markdown.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from fmnist.core.calibration import (
    brier_score,
    calibration_error,
    confidences,
    debiased_calibration_error,
    log_loss,
)
from fmnist.core.statistics import (
    balanced_accuracy,
    confusion_counts,
    estimate,
    in_top,
    macro_f1,
    mean_share,
    resampled,
    softmax,
)
from fmnist.core.tables import Column

PROBABILISTIC = ("logits", "log-probabilities")
"""The score types whose softmax is a probability; the others have one only after temperature scaling."""
RANKED = (*PROBABILISTIC, "decision scores")
ALL = (*RANKED, "decisions")
"""Every score type, see `fmnist.core.runs.Run.score_type`."""


@dataclass(frozen=True)
class Metric:
    """A metric of the predictions of N images.

    Attributes:
        name: Its key in ``metrics.json`` and its column in ``results.csv``.
        heading: What the pages call it.
        takes: What ``function`` is given, and what it returns:

            * ``counts``: confusion matrices (..., 10, 10), rows are the true classes; it returns values
              (...), so that one call computes all resamples of the bootstrap.
            * ``logits``: logits (N, 10) and labels (N,); it returns bool (N,), and the metric is their mean.
            * ``probabilities``: probabilities (N, 10) and labels (N,); it returns a number. These metrics
              have no interval, and are computed before and after temperature scaling.
        function: See ``takes``.
        note: Explains the heading, where it does not explain itself.
        format: How its values are printed.
        score_types: Of a metric of counts or logits: the runs that have it, by `Run.score_type`.
        key_figure: Whether the report begins with it, among other key figures.
        compared: Whether it is a column of the comparison in page and Markdown; the CSV always holds it.
        logged: Whether it is one of `logged_metrics`, which a training logs after each epoch.
        lower_is_better: Whether a search minimises it.
    """

    name: str
    heading: str
    takes: Literal["counts", "logits", "probabilities"]
    function: Callable[..., Any]
    note: str = ""
    format: str = "{:.4f}"
    score_types: tuple[str, ...] = ALL
    key_figure: bool = True
    compared: bool = True
    logged: bool = False
    lower_is_better: bool = False

    def applies_to(self, score_type: str) -> bool:
        """Return whether the metric can be computed of the scores of a run, without temperature scaling."""
        return score_type in (PROBABILISTIC if self.takes == "probabilities" else self.score_types)

    def value(self, logits: np.ndarray, labels: np.ndarray) -> float:
        """Return the metric of logits (N, 10) and labels (N,)."""
        if self.takes == "counts":
            return float(self.function(confusion_counts(labels, logits.argmax(1))))
        if self.takes == "logits":
            return float(self.function(logits, labels).mean())
        return float(self.function(softmax(logits), labels))

    def estimate(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Return ``value``, ``low`` and ``high`` of the 95 % bootstrap interval; not of probabilities."""
        if self.takes == "logits":
            return mean_share([self.function(logits, labels)])
        counts = confusion_counts(labels, logits.argmax(1))
        return estimate(self.function(counts), self.function(resampled(counts)))

    def text(self, value: float) -> str:
        """Return a value as it is printed."""
        return self.format.format(value)

    @property
    def column(self) -> Column:
        """The column of a table whose rows hold the value under the metric's name."""
        return Column(self.heading, self.name, self.format, self.note)


METRICS = [
    Metric(
        "accuracy", "accuracy", "logits", lambda logits, labels: logits.argmax(1) == labels, logged=True
    ),
    Metric(
        "balanced_accuracy", "balanced accuracy", "counts", balanced_accuracy, "mean recall of the classes",
        compared=False,  # on the published test set it is the accuracy: as many images of each class
    ),
    Metric("macro_f1", "macro F1", "counts", macro_f1, "mean F1 of the classes"),
    Metric(
        "top2_accuracy", "top-2 accuracy", "logits", in_top, "the label is among the two highest scores",
        score_types=RANKED, logged=True,
    ),
    Metric("log_loss", "log loss", "probabilities", log_loss, "in nats", lower_is_better=True),
    Metric(
        "brier_score", "Brier score", "probabilities", brier_score, "summed over the classes, 0 to 2",
        compared=False, lower_is_better=True,
    ),
    Metric(
        "calibration_error", "calibration error", "probabilities",
        lambda probabilities, labels: calibration_error(*confidences(probabilities, labels)),
        "expected calibration error (ECE), 15 bins of equal width",
        logged=True, lower_is_better=True,
    ),
    Metric(
        "debiased_calibration_error", "debiased calibration error", "probabilities",
        lambda probabilities, labels: debiased_calibration_error(*confidences(probabilities, labels)),
        "ECE less what comes from the finite number of images (Kumar et al. 2019)",
        key_figure=False, compared=False, lower_is_better=True,
    ),
    Metric(
        "mean_confidence", "mean confidence", "probabilities",
        lambda probabilities, labels: probabilities.max(1).mean(), "mean of the highest probability",
        key_figure=False, compared=False,  # neither high nor low is better
    ),
]  # fmt: skip
"""The metrics, in the order of key figures and columns. Comparisons order models by ``accuracy``."""


def of_probabilities(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the metrics that take probabilities, by name."""
    return {
        metric.name: float(metric.function(probabilities, labels))
        for metric in METRICS
        if metric.takes == "probabilities"
    }


def logged_metrics(
    logits: np.ndarray, labels: np.ndarray, known: Container[str] = (), score_type: str = "logits"
) -> dict[str, float]:
    """Return the metrics that are logged after each epoch, by name; not those that are known already.

    Those that scores of this type have not are left out, too.
    """
    return {
        metric.name: metric.value(logits, labels)
        for metric in METRICS
        if metric.logged and metric.name not in known and metric.applies_to(score_type)
    }
