"""The fast decision scores are libsvm's."""

import numpy as np
import pytest
from sklearn.svm import SVC

from fmnist.baselines.svm import KERNELS, ROWS, decision_scores


@pytest.fixture(scope="module")
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """300 points of ten overlapping classes in six dimensions."""
    generator = np.random.default_rng(0)
    y = generator.integers(10, size=300)
    centres = generator.normal(size=(10, 6))
    return (centres[y] + generator.normal(size=(300, 6))).astype(np.float32), y


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    """Compare scores; where two classes are level within rounding, either may have won their pair."""
    same = np.isclose(found, expected, atol=1e-3).all(axis=1)
    assert same.mean() > 0.995


@pytest.mark.parametrize("kernel", KERNELS)
def test_scores_are_those_of_scikit_learn(blobs: tuple[np.ndarray, np.ndarray], kernel: str) -> None:
    x, y = blobs
    svc = SVC(kernel=kernel, C=2, coef0=0.5, degree=2).fit(x, y)
    points = np.random.default_rng(1).normal(size=(ROWS + 5, 6)).astype(np.float32)
    found = decision_scores(svc, points)
    assert found.dtype == np.float32
    assert_same(found, svc.decision_function(points))


def test_classes_of_any_number_and_name(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = blobs
    chosen = np.isin(y, (2, 5, 7))
    svc = SVC(gamma=0.3).fit(x[chosen], y[chosen])
    assert_same(decision_scores(svc, x), svc.decision_function(x))


def test_a_class_wins_by_pairs_first(blobs: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = blobs
    scores = decision_scores(SVC().fit(x, y), x)
    wins = scores.round()
    assert (np.abs(scores - wins) < 1 / 3).all()
    assert (wins.sum(1) == 45).all()  # of ten classes' pairs
