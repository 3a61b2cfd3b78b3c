"""The fit in a process of its own, so that time is told, Ctrl-C obeyed and memory survived meanwhile.

Native code would hold all three back: it keeps the interpreter, sees no signal, and is killed when
memory ends.
"""

import contextlib
import multiprocessing
import signal
import threading
import time
import traceback
import warnings
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, NoReturn

import numpy as np
from sklearn.pipeline import Pipeline

from fmnist.baselines import engine
from fmnist.core.errors import InputError

EVERY = 10.0  # seconds between lines
TALKATIVE = {
    "ExtraTreesClassifier": 2,
    "GradientBoostingClassifier": 1,
    "HistGradientBoostingClassifier": 1,
    "MLPClassifier": 1,
    "RandomForestClassifier": 2,
}
"""The ``verbose`` at which an estimator says, through Python, at which tree or epoch it is."""


class Fit(NamedTuple):
    """A finished fit.

    Attributes:
        pipeline: Fitted, of scikit-learn's own classes.
        engine: Name and version of what fitted the classifier.
        seconds: Of the fit alone.
        warnings: What scikit-learn remarked.
    """

    pipeline: Pipeline
    engine: str
    seconds: float
    warnings: list[str]


def fit(pipeline: Pipeline, x: np.ndarray, y: np.ndarray, choice: engine.Engine) -> Fit:
    """Fit a pipeline in this process.

    Args:
        pipeline: Transformers and a classifier.
        x: float32 (N, D).
        y: int64 (N,).
        choice: What may fit.
    """
    start = time.perf_counter()
    last = pipeline.steps[-1][1]
    with warnings.catch_warnings(record=True) as caught:
        for _, step in pipeline.steps[:-1]:
            x = step.fit_transform(x, y)
        fitted, used = engine.fit(last, x, y, choice)
    pipeline.steps[-1] = (pipeline.steps[-1][0], fitted)
    remarks = dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught)
    return Fit(pipeline, used, time.perf_counter() - start, list(remarks))


def fit_apart(pipeline: Pipeline, x: np.ndarray, y: np.ndarray, choice: engine.Engine) -> Fit:
    """Fit a pipeline in a process of its own, and print every ``EVERY`` seconds how far it is.

    Raises:
        InputError: scikit-learn refuses the combination of arguments, or the memory did not suffice.
        RuntimeError: The fit failed in another way.
    """
    context = multiprocessing.get_context("spawn")  # a fork would inherit locks of torch's threads
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, pipeline, x, y, choice))
    process.start()
    sender.close()
    try:
        return _wait(receiver)
    except EOFError:
        process.join()
        if process.exitcode == -signal.SIGKILL:
            raise InputError(
                "--estimator: the fit was killed, most likely for want of memory; take fewer images by "
                "--data.train_size"
            ) from None
        raise RuntimeError(f"the process of the fit ended with exit status {process.exitcode}") from None
    finally:
        process.kill()
        process.join()


def _wait(receiver: Connection) -> Fit:
    """Print what the process says until it sends the fit."""
    start = told = time.monotonic()
    said = ""
    while True:
        if receiver.poll(max(0.0, told + EVERY - time.monotonic())):
            kind, content = receiver.recv()
            if kind == "fitted":
                return content
            if kind == "failed":
                _fail(*content)
            said = content
        else:
            told = time.monotonic()
            print(f"  {told - start:4.0f} s  {said}", flush=True)


def _fail(error: str, message: str, trace: str) -> NoReturn:
    reason = " ".join(message.split())
    if error == "MemoryError":
        raise InputError(f"--estimator: out of memory ({reason}); take fewer images by --data.train_size")
    if error == "bad input":
        raise InputError(f"--estimator: cannot be fitted ({reason:.300})")
    raise RuntimeError(f"the fit failed:\n{trace}")


def _work(
    sender: Connection, pipeline: Pipeline, x: np.ndarray, y: np.ndarray, choice: engine.Engine
) -> None:
    """Fit; send ``("said", line)`` meanwhile, and at the end ``("fitted", Fit)`` or ``("failed", ...)``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, too, which ends this process
    last: Any = pipeline[-1]
    verbose = last.get_params(deep=False).get("verbose")
    if not verbose and type(last).__name__ in TALKATIVE:
        last.set_params(verbose=TALKATIVE[type(last).__name__])
    said = _Lines(sender)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            made = fit(pipeline, x, y, choice)
        if verbose is not None:
            made.pipeline[-1].set_params(verbose=verbose)
        sender.send(("fitted", made))
    except Exception as error:
        bad = isinstance(error, ValueError | TypeError)
        kind = "bad input" if bad else type(error).__name__
        sender.send(("failed", (kind, str(error), traceback.format_exc())))


class _Lines:
    """A text stream that sends each line it is given."""

    def __init__(self, sender: Connection) -> None:
        self._sender, self._rest, self._lock = sender, "", threading.Lock()

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                if line.strip():
                    self._sender.send(("said", line.strip()))
        return len(text)

    def flush(self) -> None:
        pass
