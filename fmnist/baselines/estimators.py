"""A fitted estimator as a function of images, and the file that it is kept in."""

import os
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import skops.io
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, NuSVC

from fmnist.baselines import svm
from fmnist.baselines.features import extractor
from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.core.runs import Run

Scores = Literal["log-probabilities", "decision scores", "decisions"]
FILE = Path("checkpoints", "estimator.skops")
NETWORK = Path("checkpoints", "network")
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


class FittedEstimator:
    """A fitted pipeline that scores images.

    Args:
        features: The steps of the configuration, of which the first is applied here.
        pipeline: The other steps and the classifier, fitted.
        folder: The run folder; where the features are a network's embedding, it holds a copy of that.

    Attributes:
        kind: What ``scores`` returns: ``log-probabilities``, none below that of ``FLOOR``, where the
            classifier has probabilities that agree with its decisions; else its ``decision scores``;
            ``decisions``, 1 or 0, where it has neither. The largest is the prediction.
    """

    def __init__(self, features: list[Any], pipeline: Pipeline, folder: Path) -> None:
        self.features, self.pipeline = features, pipeline
        self.kind = _kind(pipeline[-1])
        self.extract = extractor(features, folder / NETWORK)

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Return scores, float32 (N, 10), of images uint8 (N, 28, 28)."""
        return _scores(self.pipeline[-1], self.transform(images), self.kind).astype(np.float32)

    def transform(self, images: np.ndarray) -> np.ndarray:
        """Return what the classifier itself is given, (N, D), for images uint8 (N, 28, 28)."""
        x = self.extract(images)
        for _, step in self.pipeline.steps[:-1]:
            x = step.transform(x)
        return x

    def agreement(self, images: np.ndarray) -> float:
        """Return the share of images for which the largest score is what ``predict`` says, too."""
        classifier = self.pipeline[-1]
        return float((self.scores(images).argmax(1) == classifier.predict(self.transform(images))).mean())

    @property
    def losses(self) -> list[float]:
        """The training loss by epoch, of a classifier that keeps it."""
        return [float(loss) for loss in getattr(self.pipeline[-1], "loss_curve_", ())]

    @property
    def parameters(self) -> int | None:
        """Number of the weights of a linear model or network; others, and pipelines, have no such number."""
        classifier = self.pipeline[-1]
        if len(self.pipeline) > 1:
            return None
        for names in (("coef_", "intercept_"), ("coefs_", "intercepts_")):
            if not isinstance(classifier, SVC | NuSVC) and hasattr(classifier, names[0]):
                held = (getattr(classifier, name) for name in names)
                return sum(np.size(array) for arrays in held for array in arrays)
        return None

    def save(self, folder: Path) -> None:
        """Write the estimator into a run folder, atomically.

        Raises:
            InputError: It holds a type that would not be loaded again.
        """
        path = folder / FILE
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_suffix(".tmp")
        content = {"features": self.features, "pipeline": self.pipeline}
        # level 1 makes a forest several times smaller, and costs seconds
        skops.io.dump(content, temporary, compression=zipfile.ZIP_DEFLATED, compresslevel=1)
        if unknown := _unknown_types(temporary):
            temporary.unlink()
            raise InputError(
                f"--estimator: cannot be kept in a file that is safe to load, it holds {unknown}"
            )
        os.replace(temporary, path)


def load_estimator(run: Run) -> Any:
    """Load the ``FittedEstimator`` or ``Blend`` of a run.

    Nothing is unpickled: only numbers and known types of scikit-learn are built.

    Raises:
        InputError: The file is missing or damaged, or holds something else.
    """
    from fmnist.baselines import blend

    return blend.Blend.load(run.path) if (run.path / blend.FILE).exists() else load_from(run.path)


def load_from(folder: Path) -> FittedEstimator:
    """Load what ``FittedEstimator.save`` wrote into a folder.

    Raises:
        InputError: The file is missing or damaged, or holds something else.
    """
    path = folder / FILE
    try:
        unknown = _unknown_types(path)
        content: Any = None if unknown else skops.io.load(path, trusted=sorted(TRUSTED))
    except FileNotFoundError:
        raise InputError(f"{path}: is missing, so this run has no estimator to ask") from None
    except Exception as error:  # a damaged archive raises nearly anything
        raise InputError(f"{path}: is damaged ({' '.join(str(error).split()):.200})") from None
    if unknown:
        raise InputError(f"{path}: holds {unknown}, which no baseline does, and is not loaded")
    kinds = {"features": list, "pipeline": Pipeline}
    if not isinstance(content, dict) or any(not isinstance(content.get(k), v) for k, v in kinds.items()):
        raise InputError(f"{path}: holds no pipeline")
    return FittedEstimator(content["features"], content["pipeline"], folder)


def _unknown_types(path: Path) -> str:
    return ", ".join(sorted(set(skops.io.get_untrusted_types(file=path)) - TRUSTED))


def _kind(classifier: Any) -> Scores:
    # SVC's probabilities come from another fit, with folds, and contradict its decisions
    if hasattr(classifier, "predict_proba") and not isinstance(classifier, SVC | NuSVC):
        return "log-probabilities"
    return "decision scores" if hasattr(classifier, "decision_function") else "decisions"


def _scores(classifier: Any, x: np.ndarray, kind: Scores) -> np.ndarray:
    if kind == "log-probabilities":
        return np.log(np.maximum(classifier.predict_proba(x), FLOOR))
    if kind == "decisions":
        return np.eye(len(CLASSES))[classifier.predict(x)]
    if isinstance(classifier, SVC) and classifier.kernel in svm.KERNELS:
        return svm.decision_scores(classifier, x)
    return classifier.decision_function(x)
