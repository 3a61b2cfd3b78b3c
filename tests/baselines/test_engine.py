"""scikit-learn-intelex finds scikit-learn's solution, and leaves scikit-learn's estimator behind."""

from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC

from fmnist.baselines import engine
from fmnist.baselines.svm import decision_scores
from fmnist.core.errors import InputError


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x[:600] / 16).astype(np.float32), y[:600]


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    version: Callable[[str], str] = metadata.version

    def missing(name: str) -> Any:
        if name == engine.PACKAGE:
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", missing)


def test_both_engines_fit_the_same_svm(digits: tuple[np.ndarray, np.ndarray]) -> None:
    pytest.importorskip("sklearnex", reason="needs the extra 'fast'")
    x, y = digits
    fast, used = engine.fit(SVC(C=10), x, y, "fast")
    stock, other = engine.fit(SVC(C=10), x, y, "stock")
    assert used.startswith(engine.PACKAGE)
    assert other == f"scikit-learn {metadata.version('scikit-learn')}"
    assert type(fast) is SVC
    assert fast.get_params() == stock.get_params()
    assert np.array_equal(fast.predict(x), stock.predict(x))
    for scores in (fast.decision_function(x), decision_scores(fast, x)):
        # both stop within a tolerance of the solution, and level pairs of classes may fall either way
        same = np.isclose(scores, stock.decision_function(x), atol=1e-3).all(axis=1)
        assert same.mean() > 0.98


def test_what_the_other_engine_fitted_is_kept_and_loaded(digits: tuple[np.ndarray, np.ndarray]) -> None:
    pytest.importorskip("sklearnex", reason="needs the extra 'fast'")
    x, y = digits
    fast, _ = engine.fit(SVC(C=10), x, y, "fast")
    content = skops.io.dumps(fast)
    assert not skops.io.get_untrusted_types(data=content)
    loaded = skops.io.loads(content)
    assert np.array_equal(loaded.decision_function(x), fast.decision_function(x))
    assert loaded.fit(x, y).score(x, y) == 1  # it can be fitted again


def test_estimators_that_are_not_faster_and_equal_stay_with_scikit_learn(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    x, y = digits
    forest = RandomForestClassifier(5, random_state=0)
    fitted, used = engine.fit(forest, x, y, "auto")
    assert fitted is forest
    assert used.startswith("scikit-learn ")


def test_a_kernel_that_the_other_engine_lacks_stays_with_scikit_learn(
    digits: tuple[np.ndarray, np.ndarray],
) -> None:
    x, y = digits
    fitted, used = engine.fit(SVC(kernel="precomputed"), x @ x.T, y, "auto")
    assert used.startswith("scikit-learn ")
    assert type(fitted) is SVC


@pytest.mark.usefixtures("without_package")
def test_without_the_package(digits: tuple[np.ndarray, np.ndarray]) -> None:
    assert engine.installed("auto") is None
    assert engine.fit(SVC(), *digits, "auto")[1].startswith("scikit-learn ")
    with pytest.raises(InputError, match=r"^--engine fast: scikit-learn-intelex is not installed"):
        engine.installed("fast")
