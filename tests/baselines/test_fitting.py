"""Fitting: the subprocess returns, reports and survives; the fast engine agrees; memory is checked."""

import multiprocessing
import os
import re
import signal
import time
from importlib import metadata
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
import skops.io
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelPropagation, LabelSpreading
from sklearn.svm import SVC

from fmnist.baselines import fitting
from fmnist.baselines.estimator import svc_decision_scores
from fmnist.core.errors import InputError
from tests.faults.processes import FORKS

X = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
Y = np.arange(60) % 10


class Sleeper(ClassifierMixin, BaseEstimator):
    """Does in ``fit`` what its argument says."""

    def __init__(self, does: str) -> None:
        self.does = does

    def fit(self, x: Any, y: Any) -> "Sleeper":
        if self.does == "sleep":
            print("epoch 7\nhalf a li", end="", flush=True)  # only whole lines are shown
            time.sleep(120)
        if self.does == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.does == "exit":
            os._exit(3)
        raise {"value": ValueError, "memory": MemoryError, "defect": ZeroDivisionError}[self.does](
            "so it\nis"
        )


@pytest.fixture
def _forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes, which import nothing any more, in milliseconds instead of seconds."""
    monkeypatch.setattr(multiprocessing, "get_context", {"spawn": FORKS}.__getitem__)


def test_a_subprocess_fits_the_same() -> None:
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0))
    fit = fitting.fit_in_subprocess(pipeline, X, Y, "stock")
    here = make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0)).fit(X, Y)
    assert np.array_equal(fit.pipeline.predict_proba(X), here.predict_proba(X))
    assert fit.pipeline[-1].verbose == 0
    assert fit.engine.startswith("scikit-learn ")
    assert fit.seconds > 0


@pytest.mark.usefixtures("_forks")
@pytest.mark.parametrize(
    ("does", "error", "message"),
    [
        ("value", InputError, r"^--estimator: cannot be fitted \(so it is\)$"),
        ("memory", InputError, r"^--estimator: out of memory .*--data\.train_size$"),
        ("die", InputError, r"^--estimator: the fit was killed, most likely for want of memory"),
        ("defect", RuntimeError, r"(?s)^the fit failed:.*ZeroDivisionError"),
        ("exit", RuntimeError, r"ended with exit status 3"),
    ],
)
def test_a_failure_is_reported(does: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fitting.fit_in_subprocess(make_pipeline(Sleeper(does)), X, Y, "stock")


class Deadly:
    """Kills the process that receives it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _kill, ()


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.usefixtures("_forks")
def test_a_process_that_dies_while_it_receives_the_images_is_reported() -> None:
    images = np.zeros((60_000, 100), np.float32)  # more than a pipe holds
    with pytest.raises(InputError, match=r"^--estimator: the fit was killed"):
        fitting.fit_in_subprocess(Deadly(), images, Y, "stock")  # type: ignore[arg-type]


def _die(*_: Any) -> None:
    _kill()


@pytest.mark.usefixtures("_forks")
def test_a_process_that_dies_before_it_receives_the_images_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fitting, "_work", _die)
    images = np.zeros((60_000, 100), np.float32)
    with pytest.raises(InputError, match=r"^--estimator: the fit was killed"):
        fitting.fit_in_subprocess(make_pipeline(Sleeper("value")), images, Y, "stock")


@pytest.mark.usefixtures("_forks")
def test_progress_is_printed_and_an_interrupt_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(line: str, flush: bool) -> None:
        if re.fullmatch(r" +\d+ s  epoch 7", line):
            raise KeyboardInterrupt

    monkeypatch.setattr(fitting, "PROGRESS_SECONDS", 0.1)
    monkeypatch.setattr(fitting, "print", interrupt, raising=False)
    with pytest.raises(KeyboardInterrupt):
        fitting.fit_in_subprocess(make_pipeline(Sleeper("sleep")), X, Y, "stock")
    assert not multiprocessing.active_children()


def test_both_engines_fit_the_same_svm() -> None:
    pytest.importorskip("sklearnex", reason="needs the extra 'fast'")
    x, y = (array[:600] for array in load_digits(return_X_y=True))
    x = (x / 16).astype(np.float32)
    fast, used = fitting.fit_classifier(SVC(C=10), x, y, "fast")
    stock, other = fitting.fit_classifier(SVC(C=10), x, y, "stock")
    assert used == f"{fitting.PACKAGE} {metadata.version(fitting.PACKAGE)}"
    assert other == f"scikit-learn {metadata.version('scikit-learn')}"
    assert type(fast) is SVC
    assert fast.get_params() == stock.get_params()
    assert np.array_equal(fast.predict(x), stock.predict(x))
    for scores in (fast.decision_function(x), svc_decision_scores(fast, x)):
        # both stop within a tolerance of the solution, and level pairs of classes may fall either way
        same = np.isclose(scores, stock.decision_function(x), atol=1e-3).all(axis=1)
        assert same.mean() > 0.98
    content = skops.io.dumps(fast)
    assert not skops.io.get_untrusted_types(data=content)
    loaded = skops.io.loads(content)
    assert np.array_equal(loaded.decision_function(x), fast.decision_function(x))
    assert loaded.fit(x, y).score(x, y) == 1  # it can be fitted again


@pytest.mark.parametrize("classifier", [RandomForestClassifier(5, random_state=0), SVC(kernel="precomputed")])
def test_what_is_not_faster_and_equal_stays_with_scikit_learn(classifier: Any) -> None:
    fitted, used = fitting.fit_classifier(classifier, X @ X.T, Y, "auto")
    assert type(fitted) is type(classifier)
    assert used.startswith("scikit-learn ")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "PACKAGE", "scikit-learn-intelex-is-not-here")
    assert fitting.fit_classifier(SVC(), X, Y, "auto")[1].startswith("scikit-learn ")
    with pytest.raises(InputError, match=r"^--engine fast: scikit-learn-intelex\S* is not installed"):
        fitting.intelex_version("fast")


@pytest.mark.parametrize(
    ("step", "images", "expected"),
    [
        (GaussianProcessClassifier(), 60_000, 3 * 60_000**2 * 8),
        (LabelPropagation(), 60_000, 2 * 60_000**2 * 8),
        (LabelSpreading(kernel="knn"), 60_000, 0),
        (SVC(cache_size=10_000), 1_000, 1_000**2 * 4),  # a cache holds no more than the kernel
        (Nystroem(n_components=1000), 60_000, 60_000 * 1000 * 4),
        (LogisticRegression(), 60_000, 0),
    ],
)
def test_bytes_of_a_kernel(step: Any, images: int, expected: int) -> None:
    assert fitting.kernel_bytes(step, images) == expected


def test_a_kernel_larger_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10 * 2**30))
    message = "--estimator GaussianProcessClassifier: its kernel of 55,000 images needs 72.6 GB, and 10.7 GB"
    with pytest.raises(InputError, match=f"^{message} are free; take fewer by --data.train_size"):
        fitting.check_memory([LogisticRegression(), GaussianProcessClassifier()], 55_000)
