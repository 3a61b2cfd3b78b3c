"""A fitted estimator as a function of images, and its file."""

import contextlib
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import skops.io
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, NuSVC

from fmnist.baselines.features import load_extractor
from fmnist.baselines.trust import split_types
from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError, one_line, quoted
from fmnist.core.files import write_file
from fmnist.core.statistics import scores_fault

ScoreType = Literal["log-probabilities", "decision scores", "decisions"]
FILE = Path("checkpoints", "estimator.skops")
NETWORK = Path("checkpoints", "network")
"""Holds configuration and checkpoint of the network whose embedding the estimator is fitted on."""
FLOOR = float(np.finfo(np.float32).eps)  # as sklearn.metrics.log_loss has it
KERNELS = ("linear", "poly", "rbf", "sigmoid")
KERNEL_ROWS = 2_000  # images at once; a kernel matrix of 30,000 support vectors then takes 240 MB


class FittedEstimator:
    """A fitted pipeline that classifies images.

    Args:
        features: The steps of the configuration, of which the first is applied here.
        pipeline: The other steps and the classifier, fitted.
        folder: The run folder; where the features are a network's embedding, it holds a copy of that.
        source: The flag or file that the pipeline comes from, for messages.

    Attributes:
        score_type: What ``logits`` returns: ``log-probabilities``, none below that of ``FLOOR``, where the
            classifier has probabilities that agree with its decisions; else its ``decision scores``;
            ``decisions``, 1 or 0, where it has neither. The largest is the prediction.
    """

    def __init__(
        self, features: list[Any], pipeline: Pipeline, folder: Path, source: str = "--estimator"
    ) -> None:
        self.features, self.pipeline, self.source = features, pipeline, source
        self.score_type = score_type_of(pipeline[-1])
        self.extract = load_extractor(features, folder / NETWORK)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return values of ``score_type``, float32 (N, 10), of images uint8 (N, 28, 28).

        Raises:
            InputError: The estimator fails, or its values are not numbers.
        """
        return predict_scores(self.pipeline, self.extract(images), self.source)

    def agreement(self, images: np.ndarray) -> float:
        """Return the share of images for which ``predict`` gives the class of the largest logit."""
        x = self.extract(images)
        with reports_failure(self.source, self.pipeline):
            predicted = self.pipeline.predict(x)
        return float((predict_scores(self.pipeline, x, self.source).argmax(1) == predicted).mean())

    @property
    def losses(self) -> list[float]:
        """The training loss by epoch, of a classifier that keeps it."""
        return [float(loss) for loss in getattr(self.pipeline[-1], "loss_curve_", ())]

    @property
    def parameters(self) -> int | None:
        """Number of the weights of a linear model or network; others, and pipelines, have no such number."""
        classifier = self.pipeline[-1]
        if len(self.pipeline) > 1 or isinstance(classifier, SVC | NuSVC):
            return None
        if hasattr(classifier, "coef_"):
            arrays = [classifier.coef_, classifier.intercept_]
        elif hasattr(classifier, "coefs_"):
            arrays = [*classifier.coefs_, *classifier.intercepts_]
        else:
            return None
        return sum(np.size(array) for array in arrays if np.ndim(array))  # no intercept may be a plain 0.0

    def save(self, folder: Path) -> None:
        """Write the estimator into a run folder.

        Raises:
            InputError: It holds a type that would not be loaded again.
        """
        write_file(folder / FILE, pack(self.features, self.pipeline))


def pack(features: list[Any], pipeline: Pipeline) -> bytes:
    """Return the content of an estimator's file.

    Raises:
        InputError: It cannot be stored, or holds a type that would not be loaded again.
    """
    try:
        # level 1 makes a forest several times smaller, and costs seconds
        content = skops.io.dumps(
            {"features": features, "pipeline": pipeline}, compression=zipfile.ZIP_DEFLATED, compresslevel=1
        )
        unknown = split_types(content)[1]
        reason = f", it holds {', '.join(unknown)}" if unknown else ""
    except RecursionError:
        reason = ", parts of it hold each other"
    except Exception as error:  # a type that skops does not know
        reason = f" ({one_line(error)})"
    if reason:
        name = type(pipeline[-1]).__name__
        raise InputError(f"--estimator {name}: cannot be kept in a file that is safe to load{reason}")
    return content


def unpack(content: bytes, path: Path) -> tuple[list[Any], Pipeline]:
    """Return the features and the pipeline in the content of an estimator's file.

    Nothing is unpickled: only numbers and trusted types (see ``trust``) are built.

    Raises:
        InputError: It is damaged, or holds something else; the message names ``path``.
    """
    try:
        trusted, unknown = split_types(content)
        loaded: Any = None if unknown else skops.io.loads(content, trusted=trusted)
    except Exception as error:  # a damaged archive raises nearly anything
        raise InputError(f"{quoted(path)}: is damaged ({one_line(error)})") from None
    if unknown:
        raise InputError(
            f"{quoted(path)}: holds {', '.join(unknown)}, which no baseline does, and is not loaded"
        )
    parts = {"features": list, "pipeline": Pipeline}
    if not isinstance(loaded, dict) or any(not isinstance(loaded.get(k), v) for k, v in parts.items()):
        raise InputError(f"{quoted(path)}: holds no pipeline")
    return loaded["features"], loaded["pipeline"]


def load_estimator(folder: Path) -> FittedEstimator:
    """Load the estimator of a run folder.

    Raises:
        InputError: The file is missing or damaged, or holds something else.
    """
    path = folder / FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{quoted(path)}: is damaged ({error.strerror})") from None
    return FittedEstimator(*unpack(content, path), folder, quoted(path))


def predict_scores(pipeline: Pipeline, x: np.ndarray, source: str) -> np.ndarray:
    """Return values of ``score_type``, float32 (N, 10), of a fitted pipeline for its input (N, D).

    Raises:
        InputError: The pipeline fails, or its values are not numbers; the message names ``source``.
    """
    images = len(x)
    with reports_failure(source, pipeline):
        for _, step in pipeline.steps[:-1]:
            x = step.transform(x)
        scores = class_values(pipeline[-1], x)
    if fault := scores_fault(scores, images):
        raise InputError(f"{source} {type(pipeline[-1]).__name__}: gives {fault}")
    return scores


@contextlib.contextmanager
def reports_failure(source: str, pipeline: Pipeline) -> Iterator[None]:
    """Turn any failure of a fitted pipeline, whose code is not this project's, into an ``InputError``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of NaN, which the check of the scores reports
            yield
    except Exception as error:
        name = type(pipeline[-1]).__name__
        raise InputError(f"{source} {name}: cannot predict ({one_line(error)})") from error


def score_type_of(classifier: Any) -> ScoreType:
    """Return what a fitted classifier gives: probabilities, else decision scores, else decisions."""
    # SVC's probabilities come from another fit, with folds, and contradict its decisions
    if hasattr(classifier, "predict_proba") and not isinstance(classifier, SVC | NuSVC):
        return "log-probabilities"
    return "decision scores" if hasattr(classifier, "decision_function") else "decisions"


def class_values(classifier: Any, x: np.ndarray) -> np.ndarray:
    """Return a classifier's values of ``score_type_of``, float32 (N, 10), for its input (N, D)."""
    score_type = score_type_of(classifier)
    if score_type == "log-probabilities":
        return log_probabilities(classifier.predict_proba(x))
    if score_type == "decisions":
        return np.eye(len(CLASSES), dtype=np.float32)[classifier.predict(x)]
    if isinstance(classifier, SVC) and classifier.kernel in KERNELS and isinstance(x, np.ndarray):
        return svc_decision_scores(classifier, x)
    return classifier.decision_function(x).astype(np.float32)


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Return logarithms, float32, of probabilities that count as ``FLOOR`` where they are less."""
    return np.log(np.maximum(probabilities, FLOOR)).astype(np.float32)


def svc_decision_scores(svc: SVC, x: np.ndarray) -> np.ndarray:
    """Return what ``svc.decision_function`` does, by matrix products in float32.

    libsvm evaluates the kernel pair by pair in float64 on one core: 92 s for the 10,000 test images,
    where this takes a few. The SVC is fitted on more than two classes, with one of ``KERNELS``; ``x`` is
    float32 (N, D).

    Returns:
        float32 (N, C): the pairs of classes that each class wins, plus a share below 1/3 that ranks ties.
    """
    vectors = svc.support_vectors_.astype(np.float32)
    options = {"gamma": svc._gamma, "degree": svc.degree, "coef0": svc.coef0}  # no public attribute has gamma
    return np.concatenate(
        [
            _votes(svc, pairwise_kernels(part, vectors, metric=svc.kernel, filter_params=True, **options))
            for part in np.split(x, range(KERNEL_ROWS, len(x), KERNEL_ROWS))
        ]
    )


def _votes(svc: SVC, kernel: np.ndarray) -> np.ndarray:
    """Return scores (N, C) from kernel values (N, V) with the support vectors, which are sorted by class.

    Row ``r`` of ``dual_coef_`` (C - 1, V) holds the weights of the vectors of class ``i`` against class
    ``r``, or ``r + 1`` from ``i`` on. Ties are ranked as by ``sklearn.multiclass.OneVsOneClassifier``.
    """
    count = len(svc.classes_)
    ends = np.cumsum(svc.n_support_)
    weights = np.split(svc.dual_coef_.astype(np.float32), ends[:-1], axis=1)
    # for each class, what its vectors add to its pairs (N, C - 1)
    sums = [part @ w.T for part, w in zip(np.split(kernel, ends[:-1], axis=1), weights, strict=True)]
    wins, confidence = np.zeros((2, len(kernel), count), np.float32)
    pairs = ((first, second) for first in range(count) for second in range(first + 1, count))
    for (first, second), intercept in zip(pairs, svc.intercept_, strict=True):
        margin = sums[first][:, second - 1] + sums[second][:, first] + np.float32(intercept)
        wins[:, first] += margin >= 0
        wins[:, second] += margin < 0
        confidence[:, first] += margin
        confidence[:, second] -= margin
    return wins + confidence / (3 * (np.abs(confidence) + 1))
