"""The fit in a process of its own: what it returns, says and survives."""

import multiprocessing
import os
import re
import signal
import time
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fmnist.baselines import worker
from fmnist.core.errors import InputError

X = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
Y = np.arange(60) % 10
SLEEP = 120.0


class Sleeper(ClassifierMixin, BaseEstimator):
    """Does in ``fit`` what its argument says."""

    def __init__(self, does: str) -> None:
        self.does = does

    def fit(self, x: Any, y: Any) -> "Sleeper":
        if self.does == "sleep":
            print("epoch 7\nhalf a li", end="", flush=True)
            time.sleep(SLEEP)
        if self.does == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.does == "exit":
            os._exit(3)
        raise {"value": ValueError, "memory": MemoryError, "defect": ZeroDivisionError}[self.does](
            "so it\nis"
        )


def test_the_fit_is_the_same_there() -> None:
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0))
    made = worker.fit_apart(pipeline, X, Y, "stock")
    here = make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0)).fit(X, Y)
    assert np.array_equal(made.pipeline.predict_proba(X), here.predict_proba(X))
    assert made.pipeline[-1].verbose == 0
    assert made.engine.startswith("scikit-learn ")
    assert 0 < made.seconds < 30


def test_remarks_come_back_once() -> None:
    made = worker.fit(make_pipeline(LogisticRegression(max_iter=1)), X, Y, "stock")
    assert len(made.warnings) == 1
    assert made.warnings[0].startswith("lbfgs failed to converge")
    assert "\n" not in made.warnings[0]


@pytest.mark.parametrize(
    ("does", "error", "said"),
    [
        ("value", InputError, r"^--estimator: cannot be fitted \(so it is\)$"),
        ("memory", InputError, r"^--estimator: out of memory .*--data\.train_size$"),
        ("die", InputError, r"^--estimator: the fit was killed, most likely for want of memory"),
        ("defect", RuntimeError, r"(?s)^the fit failed:.*ZeroDivisionError"),
        ("exit", RuntimeError, r"ended with exit status 3"),
    ],
)
def test_a_failure_is_said(does: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        worker.fit_apart(make_pipeline(Sleeper(does)), X, Y, "stock")


def test_time_is_told_and_an_interrupt_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = []

    def interrupt(line: str, flush: bool) -> None:
        lines.append(line)
        if "epoch" in line:
            raise KeyboardInterrupt

    start = time.monotonic()
    monkeypatch.setattr(worker, "EVERY", 0.1)
    monkeypatch.setattr(worker, "print", interrupt, raising=False)
    with pytest.raises(KeyboardInterrupt):
        worker.fit_apart(make_pipeline(Sleeper("sleep")), X, Y, "stock")
    assert time.monotonic() - start < SLEEP / 2
    assert not multiprocessing.active_children()
    assert re.fullmatch(r" +\d+ s  epoch 7", lines[-1])
