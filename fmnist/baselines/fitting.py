"""Fitting a pipeline in a subprocess, with scikit-learn or a faster engine, and checks of the memory.

Native code does not react to signals, and the system kills it when memory runs out. The parent process
stays able to print progress, to end the fit at Ctrl-C, and to report a lack of memory.
"""

import contextlib
import inspect
import multiprocessing
import signal
import threading
import time
import traceback
import warnings
from importlib import metadata
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import psutil
from sklearn.base import BaseEstimator
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import Pipeline
from sklearn.semi_supervised import LabelPropagation, LabelSpreading
from sklearn.svm import SVC, NuSVC

from fmnist.baselines.config import Engine
from fmnist.core.errors import InputError, one_line

PACKAGE = "scikit-learn-intelex"
"""A package that fits an SVC several times faster, to the same solution.

It is not used to predict: with ten classes its SVC's predictions differ from libsvm's in one image of 200,
and its decision function ranks another class first in one of 40, mostly a wrong one. Nor does it fit
anything else: its forests have other trees, and its logistic regression stops elsewhere when the iterations
run out.
"""
PROGRESS_SECONDS = 10.0  # between two lines of progress
VERBOSE = {
    "ExtraTreesClassifier": 2,
    "GradientBoostingClassifier": 1,
    "HistGradientBoostingClassifier": 1,
    "MLPClassifier": 1,
    "RandomForestClassifier": 2,
}
"""The ``verbose`` at which an estimator prints, through Python, its current tree or epoch."""


class Fit(NamedTuple):
    """A finished fit.

    Attributes:
        pipeline: Fitted, of scikit-learn's own classes.
        engine: Name and version of what fitted the classifier.
        seconds: Of the fit alone.
        warnings: What scikit-learn warned of.
    """

    pipeline: Pipeline
    engine: str
    seconds: float
    warnings: list[str]


def fit_in_subprocess(pipeline: Pipeline, x: np.ndarray, y: np.ndarray, engine: Engine) -> Fit:
    """Fit a pipeline in a subprocess to x float32 (N, D) and y int64 (N,); see ``fit_classifier``.

    Its progress is printed every ``PROGRESS_SECONDS``.

    Raises:
        InputError: scikit-learn refuses the combination of arguments, or the memory did not suffice.
        RuntimeError: The fit failed in another way.
    """
    context = multiprocessing.get_context("spawn")  # a fork would inherit locks of torch's threads
    (task, asking), (receiver, sender) = context.Pipe(duplex=False), context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(task, sender))
    process.start()
    task.close()  # the ends of that process: if it dies, nothing waits for it
    sender.close()
    try:
        asking.send((pipeline, x, y, engine))
        return _wait(receiver)
    except (EOFError, BrokenPipeError):
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


def fit(pipeline: Pipeline, x: np.ndarray, y: np.ndarray, engine: Engine) -> Fit:
    """Fit a pipeline in this process; see ``fit_in_subprocess``."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        for _, step in pipeline.steps[:-1]:
            x = step.fit_transform(x, y)
        name, classifier = pipeline.steps[-1]
        classifier, used = fit_classifier(classifier, x, y, engine)
    pipeline.steps[-1] = (name, classifier)
    messages = dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught)
    return Fit(pipeline, used, time.perf_counter() - start, list(messages))


def _work(task: Connection, sender: Connection) -> None:
    """Fit what is asked for, the arguments of ``fit``.

    Sends ``("line", text)`` meanwhile, last "fitted" with a ``Fit``, or "refused" or "defect", why.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, too, which ends this process
    pipeline, x, y, engine = task.recv()
    classifier: Any = pipeline[-1]
    verbose = classifier.get_params(deep=False).get("verbose")
    if not verbose and type(classifier).__name__ in VERBOSE:
        classifier.set_params(verbose=VERBOSE[type(classifier).__name__])
    lines = _Lines(sender)
    try:
        with contextlib.redirect_stdout(lines), contextlib.redirect_stderr(lines):
            fitted = fit(pipeline, x, y, engine)
        if verbose is not None:
            fitted.pipeline[-1].set_params(verbose=verbose)
        sender.send(("fitted", fitted))
    except MemoryError as error:
        reason = f"out of memory ({one_line(error)}); take fewer images by --data.train_size"
        sender.send(("refused", f"--estimator: {reason}"))
    # scikit-learn raises the last for arguments that do not go together
    except (ValueError, TypeError, AttributeError, LookupError, NotImplementedError) as error:
        sender.send(("refused", f"--estimator: cannot be fitted ({one_line(error)})"))
    except Exception:
        sender.send(("defect", traceback.format_exc()))


def _wait(receiver: Connection) -> Fit:
    """Print the latest line of the process every ``PROGRESS_SECONDS`` until it sends the fit."""
    start = printed = time.monotonic()
    line = ""
    while True:
        if receiver.poll(max(0.0, printed + PROGRESS_SECONDS - time.monotonic())):
            kind, content = receiver.recv()
            if kind == "fitted":
                return content
            if kind == "refused":
                raise InputError(content)
            if kind == "defect":
                raise RuntimeError(f"the fit failed:\n{content}")
            line = content
        else:
            printed = time.monotonic()
            print(f"  {printed - start:4.0f} s  {line}", flush=True)


class _Lines:
    """A text stream that sends each line that is written to it."""

    def __init__(self, sender: Connection) -> None:
        self._sender, self._rest, self._lock = sender, "", threading.Lock()

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                if line.strip():
                    self._sender.send(("line", line.strip()))
        return len(text)

    def flush(self) -> None:
        pass


def intelex_version(engine: Engine) -> str | None:
    """Return the version of scikit-learn-intelex that may be used, or None.

    Raises:
        InputError: The engine is ``fast``, and it is not installed.
    """
    if engine == "stock":
        return None
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        if engine == "fast":
            raise InputError(
                f"--engine fast: {PACKAGE} is not installed (pip install -e '.[fast]'); take auto or stock"
            ) from None
        return None


def fit_classifier(
    classifier: BaseEstimator, x: np.ndarray, y: np.ndarray, engine: Engine
) -> tuple[Any, str]:
    """Return a fitted classifier of scikit-learn, and the name and version of the engine that fitted it.

    The engine ``stock`` is scikit-learn; ``auto`` and ``fast`` use ``PACKAGE`` for an SVC, and then
    ``classifier`` itself stays unfitted.
    """
    version = intelex_version(engine)
    if version is not None and type(classifier) is SVC and isinstance(x, np.ndarray):  # else it is sparse
        from sklearnex import svm

        twin = svm.SVC(**classifier.get_params(deep=False)).fit(x, y)
        if hasattr(twin, "_onedal_estimator"):  # else it left the work to scikit-learn
            return _stock_svc(twin), f"{PACKAGE} {version}"
    return classifier.fit(x, y), f"scikit-learn {metadata.version('scikit-learn')}"


def _stock_svc(fitted: Any) -> SVC:
    """Return scikit-learn's SVC with the solution of scikit-learn-intelex's.

    No public way exists: these are all the attributes that scikit-learn's ``fit`` sets.
    """
    names = inspect.signature(SVC).parameters
    stock = SVC(**{name: value for name, value in fitted.get_params(deep=False).items() if name in names})
    same = ("classes_", "class_weight_", "n_features_in_", "fit_status_", "shape_fit_")
    vars(stock).update({name: getattr(fitted, name) for name in (*same, "_gamma", "_sparse")})
    stock.support_ = fitted.support_.astype(np.int32)
    stock.support_vectors_ = np.ascontiguousarray(fitted.support_vectors_, np.float64)
    stock._n_support = fitted._n_support.astype(np.int32)
    # the two differ in sign where there are two classes only, and here are ten
    stock._dual_coef_ = stock.dual_coef_ = np.ascontiguousarray(fitted.dual_coef_, np.float64)
    stock._intercept_ = stock.intercept_ = np.asarray(fitted.intercept_, np.float64)
    stock._probA = stock._probB = np.empty(0)
    stock._effective_probability = False
    return stock


def check_memory(steps: list[Any], images: int) -> None:
    """Raise an ``InputError`` for a step whose kernel of the training images exceeds the free memory."""
    available = psutil.virtual_memory().available
    for step in steps:
        needed = kernel_bytes(step, images)
        if needed > available:
            raise InputError(
                f"--estimator {type(step).__name__}: its kernel of {images:,} images needs "
                f"{needed / 1e9:.1f} GB, and {available / 1e9:.1f} GB are free; take fewer by "
                "--data.train_size, or sklearn.kernel_approximation.Nystroem among --features"
            )


def kernel_bytes(step: Any, images: int) -> int:
    """Return the bytes of the kernel values that a fit holds at once, 0 where it holds none."""
    if isinstance(step, GaussianProcessClassifier):
        return 3 * images**2 * 8  # the kernel, its weighted copy and the Cholesky factor
    if isinstance(step, LabelPropagation | LabelSpreading):
        return 2 * images**2 * 8 if step.kernel == "rbf" else 0
    if isinstance(step, SVC | NuSVC):
        return int(min(step.cache_size * 2**20, images**2 * 4))
    if isinstance(step, Nystroem):
        return images * step.n_components * 4
    return 0
