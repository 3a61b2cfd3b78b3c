"""Logits of every kind of classifier, and files that are safe to load."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC, LinearSVC

from fmnist.baselines import estimator as module
from fmnist.baselines.estimator import FittedEstimator, load_estimator, svc_decision_scores
from fmnist.core.errors import InputError
from fmnist.core.images import as_pixels

LABELS = np.repeat(np.arange(10), 6)
IMAGES = (25 * LABELS[:, None, None] + np.random.default_rng(0).integers(30, size=(60, 28, 28))).astype(
    np.uint8
)
WITH_PROBABILITIES: list[BaseEstimator] = [
    LogisticRegression(max_iter=20),
    RandomForestClassifier(5, random_state=0),
    HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=2),
    KNeighborsClassifier(3),
    MLPClassifier(hidden_layer_sizes=(8,), max_iter=3),
    GaussianNB(),
]
WITH_DECISIONS: list[BaseEstimator] = [
    SVC(), SVC(probability=True), LinearSVC(max_iter=50), RidgeClassifier(), Perceptron(),
]  # fmt: skip


def fitted(classifier: Any, folder: Path) -> FittedEstimator:
    pipeline = make_pipeline(classifier).fit(as_pixels(IMAGES), LABELS)
    return FittedEstimator([], pipeline, folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("classifier", [*WITH_PROBABILITIES, *WITH_DECISIONS], ids=str)
def test_the_largest_logit_is_the_decision_and_survives_the_file(classifier: Any, tmp_path: Path) -> None:
    estimator = fitted(classifier, tmp_path)
    logits = estimator.logits(IMAGES)
    assert (logits.shape, logits.dtype) == ((60, 10), np.float32)
    assert estimator.agreement(IMAGES) == 1
    if isinstance(classifier, KNeighborsClassifier | SVC):
        assert estimator.parameters is None
    if classifier in WITH_PROBABILITIES:
        assert estimator.score_type == "log-probabilities"
        np.testing.assert_allclose(np.exp(logits.astype(float)).sum(1), 1, atol=1e-4)
    else:  # an SVC's probabilities contradict its decisions
        assert estimator.score_type == "decision scores"
    estimator.save(tmp_path)
    np.testing.assert_array_equal(load_estimator(tmp_path).logits(IMAGES), logits)


def test_weights_are_counted_with_and_without_an_intercept(tmp_path: Path) -> None:
    for has_intercept, count in ((True, 784 * 10 + 10), (False, 784 * 10)):
        assert fitted(RidgeClassifier(fit_intercept=has_intercept), tmp_path).parameters == count


def test_a_classifier_with_neither_scores_nor_probabilities() -> None:
    plain = SimpleNamespace(predict=lambda x: LABELS)
    assert module.score_type_of(plain) == "decisions"
    assert np.array_equal(module.class_values(plain, as_pixels(IMAGES)), np.eye(10)[LABELS])


FOREIGN = make_pipeline(FunctionTransformer(np.save), GaussianNB())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *((content, "is damaged") for content in (b"", b"nothing", b"PK\x03\x04")),
        ({"features": [], "pipeline": FOREIGN}, "holds .*save.*, which no baseline does, and is not loaded"),
        ([1, 2], "holds no pipeline"),
    ],
)
def test_a_damaged_or_foreign_file_is_not_loaded(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / module.FILE
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else skops.io.dumps(content))
    with pytest.raises(InputError, match=rf"estimator\.skops: {message}"):
        load_estimator(tmp_path)


def test_what_would_not_load_is_not_kept(tmp_path: Path) -> None:
    estimator = fitted(GaussianNB(), tmp_path)
    estimator.pipeline.steps.insert(0, ("function", FunctionTransformer(np.save)))
    with pytest.raises(InputError, match="cannot be kept in a file that is safe to load, it holds"):
        estimator.save(tmp_path)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("kernel", module.KERNELS)
@pytest.mark.parametrize("classes", [range(10), (2, 5, 7)])
def test_decision_scores_are_those_of_scikit_learn(kernel: str, classes: Any) -> None:
    generator = np.random.default_rng(0)
    y = generator.choice(classes, size=300)
    x = (generator.normal(size=(10, 6))[y] + generator.normal(size=(300, 6))).astype(np.float32)
    svc = SVC(kernel=kernel, C=2, coef0=0.5, degree=2).fit(x, y)
    points = np.random.default_rng(1).normal(size=(module.KERNEL_ROWS + 5, 6)).astype(np.float32)
    scores = svc_decision_scores(svc, points)
    assert scores.dtype == np.float32
    # where two classes are level within rounding, either may have won their pair
    same = np.isclose(scores, svc.decision_function(points), atol=1e-3).all(axis=1)
    assert same.mean() > 0.995
    wins = scores.round()
    assert (np.abs(scores - wins) < 1 / 3).all()
    assert (wins.sum(1) == len(classes) * (len(classes) - 1) / 2).all()
