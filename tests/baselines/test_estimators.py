"""Scores of every kind of classifier, and files that are safe to load."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC, LinearSVC

from fmnist.baselines import estimators
from fmnist.baselines.estimators import FittedEstimator, load_estimator
from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.data.arrays import as_pixels

LABELS = np.repeat(np.arange(10), 6)
IMAGES = (25 * LABELS[:, None, None] + np.random.default_rng(0).integers(30, size=(60, 28, 28))).astype(
    np.uint8
)
CLASSIFIERS: list[tuple[BaseEstimator, str]] = [
    (LogisticRegression(max_iter=20), "log-probabilities"),
    (RandomForestClassifier(5, random_state=0), "log-probabilities"),
    (ExtraTreesClassifier(5, random_state=0), "log-probabilities"),
    (HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2), "log-probabilities"),
    (KNeighborsClassifier(3), "log-probabilities"),
    (KNeighborsClassifier(3, algorithm="kd_tree"), "log-probabilities"),
    (MLPClassifier(hidden_layer_sizes=(8,), max_iter=3), "log-probabilities"),
    (GaussianNB(), "log-probabilities"),
    (SVC(), "decision scores"),
    (LinearSVC(max_iter=50), "decision scores"),
    (RidgeClassifier(), "decision scores"),
    (Perceptron(), "decision scores"),
]


def fitted(classifier: Any, folder: Path) -> FittedEstimator:
    pipeline = make_pipeline(classifier).fit(as_pixels(IMAGES), LABELS)
    return FittedEstimator([], pipeline, folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("classifier", "kind"), CLASSIFIERS, ids=lambda value: str(value).partition("(")[0])
def test_the_largest_score_is_the_decision_and_survives_the_file(
    classifier: Any, kind: str, tmp_path: Path
) -> None:
    estimator = fitted(classifier, tmp_path)
    assert estimator.kind == kind
    scores = estimator.scores(IMAGES)
    assert (scores.shape, scores.dtype) == ((60, 10), np.float32)
    assert np.isfinite(scores).all()
    assert estimator.agreement(IMAGES) == 1
    if kind == "log-probabilities":
        np.testing.assert_allclose(np.exp(scores.astype(float)).sum(1), 1, atol=1e-4)
    estimator.save(tmp_path)
    run = Run.create(tmp_path, "loaded")
    (tmp_path / "checkpoints").rename(run.path / "checkpoints")
    np.testing.assert_array_equal(load_estimator(run).scores(IMAGES), scores)


def test_a_classifier_with_neither_scores_nor_probabilities(tmp_path: Path) -> None:
    class Plain:
        def __init__(self) -> None:
            self.inner = NearestCentroid().fit(as_pixels(IMAGES), LABELS)

        def predict(self, x: np.ndarray) -> np.ndarray:
            return self.inner.predict(x)

    plain: Any = Plain()
    assert estimators._kind(plain) == "decisions"
    scores = estimators._scores(plain, as_pixels(IMAGES), "decisions")
    assert np.array_equal(scores.argmax(1), plain.predict(as_pixels(IMAGES)))
    assert (scores.sum(1) == 1).all()


def test_an_svms_probabilities_contradict_its_decisions(tmp_path: Path) -> None:
    with pytest.warns(FutureWarning) if "deprecated" in str(SVC().probability) else _nothing():
        estimator = fitted(SVC(probability=True, random_state=0), tmp_path)
    assert estimator.kind == "decision scores"


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def test_parameters_and_losses(tmp_path: Path) -> None:
    network = fitted(MLPClassifier(hidden_layer_sizes=(8,), max_iter=3), tmp_path)
    assert network.parameters == 784 * 8 + 8 + 8 * 10 + 10
    assert len(network.losses) == 3
    logistic = fitted(LogisticRegression(max_iter=5), tmp_path)
    assert (logistic.parameters, logistic.losses) == (7850, [])
    assert fitted(KNeighborsClassifier(3), tmp_path).parameters is None
    assert fitted(SVC(kernel="linear"), tmp_path).parameters is None


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"estimator\.skops: is missing, so this run has no estimator"):
        load_estimator(Run.create(tmp_path, "empty"))


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04"])
def test_a_damaged_file_is_said(tmp_path: Path, content: bytes) -> None:
    run = Run.create(tmp_path, "damaged")
    (run.path / "checkpoints").mkdir()
    (run.path / estimators.FILE).write_bytes(content)
    with pytest.raises(InputError, match=r"estimator\.skops: is damaged"):
        load_estimator(run)


def test_a_file_with_foreign_code_is_not_loaded(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "foreign")
    (run.path / "checkpoints").mkdir()
    foreign = make_pipeline(FunctionTransformer(np.save), GaussianNB())
    skops.io.dump({"features": [], "pipeline": foreign}, run.path / estimators.FILE)
    with pytest.raises(InputError, match=r"holds .*save.*, which no baseline does, and is not loaded"):
        load_estimator(run)


def test_a_file_of_something_else_is_said(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "else")
    (run.path / "checkpoints").mkdir()
    skops.io.dump([1, 2], run.path / estimators.FILE)
    with pytest.raises(InputError, match="holds no pipeline"):
        load_estimator(run)


def test_what_would_not_load_is_not_kept(tmp_path: Path) -> None:
    estimator = fitted(GaussianNB(), tmp_path)
    estimator.pipeline.steps.insert(0, ("function", FunctionTransformer(np.save)))
    with pytest.raises(InputError, match="cannot be kept in a file that is safe to load, it holds"):
        estimator.save(tmp_path)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_the_file_is_compressed(tmp_path: Path) -> None:
    fitted(KNeighborsClassifier(3), tmp_path).save(tmp_path)
    with zipfile.ZipFile(tmp_path / estimators.FILE) as archive:
        assert all(
            info.compress_type == zipfile.ZIP_DEFLATED for info in archive.infolist() if info.file_size
        )
