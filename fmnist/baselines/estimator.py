"""A fitted estimator as a function of images, and its file."""

import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import skops.io
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, NuSVC

from fmnist.baselines.features import load_extractor
from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError, quoted
from fmnist.core.files import replacing

ScoreType = Literal["log-probabilities", "decision scores", "decisions"]
FILE = Path("checkpoints", "estimator.skops")
NETWORK = Path("checkpoints", "network")
"""Holds configuration and checkpoint of the network whose embedding the estimator is fitted on."""
FLOOR = float(np.finfo(np.float32).eps)  # as sklearn.metrics.log_loss has it
TRUSTED = {
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
}
"""What skops may build beyond its own list: parts of scikit-learn's estimators, which only hold numbers."""
KERNELS = ("linear", "poly", "rbf", "sigmoid")
KERNEL_ROWS = 2_000  # images at once; a kernel matrix of 30,000 support vectors then takes 240 MB


class FittedEstimator:
    """A fitted pipeline that classifies images.

    Args:
        features: The steps of the configuration, of which the first is applied here.
        pipeline: The other steps and the classifier, fitted.
        folder: The run folder; where the features are a network's embedding, it holds a copy of that.

    Attributes:
        score_type: What ``logits`` returns: ``log-probabilities``, none below that of ``FLOOR``, where the
            classifier has probabilities that agree with its decisions; else its ``decision scores``;
            ``decisions``, 1 or 0, where it has neither. The largest is the prediction.
    """

    def __init__(self, features: list[Any], pipeline: Pipeline, folder: Path) -> None:
        self.features, self.pipeline = features, pipeline
        self.score_type = score_type_of(pipeline[-1])
        self.extract = load_extractor(features, folder / NETWORK)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return values of ``score_type``, float32 (N, 10), of images uint8 (N, 28, 28)."""
        return class_values(self.pipeline[-1], self.transform(images), self.score_type)

    def transform(self, images: np.ndarray) -> np.ndarray:
        """Return the classifier's input, (N, D), for images uint8 (N, 28, 28)."""
        x = self.extract(images)
        for _, step in self.pipeline.steps[:-1]:
            x = step.transform(x)
        return x

    def agreement(self, images: np.ndarray) -> float:
        """Return the share of images for which ``predict`` gives the class of the largest logit."""
        predicted = self.pipeline[-1].predict(self.transform(images))
        return float((self.logits(images).argmax(1) == predicted).mean())

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
        for names in (("coef_", "intercept_"), ("coefs_", "intercepts_")):
            if hasattr(classifier, names[0]):
                return sum(np.size(array) for name in names for array in getattr(classifier, name))
        return None

    def save(self, folder: Path) -> None:
        """Write the estimator into a run folder.

        Raises:
            InputError: It holds a type that would not be loaded again.
        """
        content = {"features": self.features, "pipeline": self.pipeline}
        with replacing(folder / FILE) as temporary:
            # level 1 makes a forest several times smaller, and costs seconds
            skops.io.dump(content, temporary, compression=zipfile.ZIP_DEFLATED, compresslevel=1)
            if unknown := _unknown_types(temporary):
                raise InputError(
                    f"--estimator: cannot be kept in a file that is safe to load, it holds {unknown}"
                )


def load_estimator(folder: Path) -> FittedEstimator:
    """Load the estimator of a run folder.

    Nothing is unpickled: only numbers and known types of scikit-learn are built.

    Raises:
        InputError: The file is missing or damaged, or holds something else.
    """
    path = folder / FILE
    try:
        unknown = _unknown_types(path)
        content: Any = None if unknown else skops.io.load(path, trusted=sorted(TRUSTED))
    except Exception as error:  # missing, or a damaged archive, which raises nearly anything
        raise InputError(f"{quoted(path)}: is damaged ({' '.join(str(error).split()):.200})") from None
    if unknown:
        raise InputError(f"{quoted(path)}: holds {unknown}, which no baseline does, and is not loaded")
    types = {"features": list, "pipeline": Pipeline}
    if not isinstance(content, dict) or any(not isinstance(content.get(k), v) for k, v in types.items()):
        raise InputError(f"{quoted(path)}: holds no pipeline")
    return FittedEstimator(content["features"], content["pipeline"], folder)


def _unknown_types(path: Path) -> str:
    return ", ".join(sorted(set(skops.io.get_untrusted_types(file=path)) - TRUSTED))


def score_type_of(classifier: Any) -> ScoreType:
    """Return what a fitted classifier gives: probabilities, else decision scores, else decisions."""
    # SVC's probabilities come from another fit, with folds, and contradict its decisions
    if hasattr(classifier, "predict_proba") and not isinstance(classifier, SVC | NuSVC):
        return "log-probabilities"
    return "decision scores" if hasattr(classifier, "decision_function") else "decisions"


def class_values(classifier: Any, x: np.ndarray, score_type: ScoreType) -> np.ndarray:
    """Return a classifier's values of a type, float32 (N, 10), for its input (N, D)."""
    if score_type == "log-probabilities":
        return log_probabilities(classifier.predict_proba(x))
    if score_type == "decisions":
        return np.eye(len(CLASSES), dtype=np.float32)[classifier.predict(x)]
    if isinstance(classifier, SVC) and classifier.kernel in KERNELS:
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
