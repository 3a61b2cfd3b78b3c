"""What fits an estimator: scikit-learn, or scikit-learn-intelex where that is faster and equal."""

import importlib
import inspect
from importlib import metadata
from typing import Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.svm import SVC

from fmnist.core.errors import InputError

Engine = Literal["auto", "fast", "stock"]
PACKAGE = "scikit-learn-intelex"
FASTER = {SVC: "sklearnex.svm"}
"""Estimators that scikit-learn-intelex fits several times faster, to the same solution.

Not for predictions: with ten classes its SVC's differ from libsvm's in one image of 200, and its decision
function ranks another class first in one of 40, mostly a wrong one. Not its forests, whose trees are
others, and not its logistic regression, which stops elsewhere when the iterations run out.
"""


def installed(engine: Engine) -> str | None:
    """Return the version of scikit-learn-intelex that may be used, or None.

    Raises:
        InputError: It is asked for, and not installed.
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


def fit(estimator: BaseEstimator, x: np.ndarray, y: np.ndarray, engine: Engine) -> tuple[Any, str]:
    """Fit an estimator of scikit-learn.

    Args:
        estimator: Unfitted; it is left so where another engine fits in its place.
        x: float32 (N, D).
        y: int64 (N,).
        engine: ``stock`` is scikit-learn; ``auto`` and ``fast`` take ``FASTER`` where it applies.

    Returns:
        The fitted estimator, always one of scikit-learn's own, and the name and version of what fitted it.
    """
    version = installed(engine)
    if version is not None and type(estimator) in FASTER:
        module = importlib.import_module(FASTER[type(estimator)])
        twin = getattr(module, type(estimator).__name__)(**estimator.get_params(deep=False)).fit(x, y)
        if hasattr(twin, "_onedal_estimator"):  # else it left the work to scikit-learn
            return _stock_svc(twin), f"{PACKAGE} {version}"
    return estimator.fit(x, y), f"scikit-learn {metadata.version('scikit-learn')}"


def _stock_svc(fitted: Any) -> SVC:
    """Return scikit-learn's SVC with the solution that scikit-learn-intelex's found."""
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
