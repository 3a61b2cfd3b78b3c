"""A trial on few images refuses what can never become a run, and nothing else."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from fmnist.baselines.trial import SIZES, try_out
from fmnist.core.errors import InputError

Y = np.repeat(np.arange(10), 60)
X = (Y[:, None] + np.random.default_rng(0).normal(size=(600, 300))).astype(np.float32)


@pytest.mark.parametrize(
    "pipeline",
    [
        make_pipeline(PCA(250), GaussianNB()),  # more components than the first images
        make_pipeline(KNeighborsClassifier(n_neighbors=599)),  # more neighbours
        make_pipeline(KNeighborsClassifier(n_neighbors=5000)),
        make_pipeline(LogisticRegression(solver="liblinear", penalty="elasticnet")),  # the fit says so
    ],
    ids=str,
)
def test_what_may_be_due_to_the_few_images_is_left_to_the_fit(pipeline: Any) -> None:
    try_out(pipeline, X, Y)
    with pytest.raises(NotFittedError):  # it stays as it is
        check_is_fitted(pipeline[-1])


@pytest.mark.parametrize(
    ("classifier", "name"),
    [
        (RandomForestClassifier(10**6), "n_estimators"),
        (MLPClassifier((4,), max_iter=10**9, n_iter_no_change=10**9), "max_iter"),
    ],
)
def test_a_long_fit_is_short_in_the_trial_and_stays_as_it_was(classifier: Any, name: str) -> None:
    rounds = classifier.get_params()[name]
    try_out(make_pipeline(classifier), X, Y)
    assert classifier.get_params()[name] == rounds


class Answers(ClassifierMixin, BaseEstimator):
    """Returns what its argument says, whatever the images."""

    def __init__(self, kind: str = "") -> None:
        self.kind = kind

    def fit(self, x: Any, y: Any) -> "Answers":
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x: Any) -> np.ndarray:
        if self.kind == "fails":
            raise ZeroDivisionError("by\nzero")
        return np.full((len(x), 9 if self.kind == "nine" else 10), np.nan if self.kind == "NaN" else 0.1)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("fails", r"Answers: cannot predict \(by zero\)$"),
        ("NaN", r"Answers: gives scores that are not numbers for 600 of 600 images$"),
        ("nine", r"Answers: gives scores \(600, 9\), not \(600, 10\)$"),
        ("foreign", r"Answers: cannot be kept in a file that is safe to load, it holds tests\.\S+\.Answers$"),
    ],
)
def test_what_gives_no_answers_is_refused(kind: str, message: str) -> None:
    assert len(Y) < 10 * SIZES[1]
    with pytest.raises(InputError, match=f"^--estimator {message}"):
        try_out(make_pipeline(Answers(kind)), X, Y)
