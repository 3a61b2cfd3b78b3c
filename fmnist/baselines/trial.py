"""A trial on few images before a long fit: what could never become a run is refused in seconds."""

import warnings

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from fmnist.baselines.estimator import FILE, pack, predict_scores, unpack
from fmnist.core.errors import InputError

SIZES = (20, 200)
"""Images of each class; the second, where the first are too few for the arguments."""
ROUNDS = ("max_iter", "n_estimators")
MOST_ROUNDS = 10  # enough for every type of object that a fit leaves
LEAST_SAME = 0.9  # share of images whose class must stay the same when the estimator is loaded


def try_out(pipeline: Pipeline, x: np.ndarray, y: np.ndarray) -> None:
    """Fit a copy of a pipeline to few images; predict, store it, load it and predict again.

    Errors of the fit itself are left to the fit to all images, and so is a ``ValueError`` of the prediction:
    either may be due to the few images, as with more components or neighbours than there are images. The
    pipeline itself stays unfitted; x is float32 (N, D), y int64 (N,).

    Raises:
        InputError: It cannot predict, its scores are not numbers, it cannot be stored, or it predicts
            something else once it has been loaded.
    """
    copy = clone(pipeline)
    rounds = {
        name: MOST_ROUNDS
        for name, value in copy.get_params().items()
        if name.endswith(ROUNDS) and isinstance(value, int) and value > MOST_ROUNDS
    }
    copy.set_params(**rounds)
    refusal: InputError | None = None
    for size in SIZES:
        chosen = np.concatenate([np.flatnonzero(y == label)[:size] for label in np.unique(y)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                fitted = clone(copy).fit(x[chosen], y[chosen])
            except Exception:  # scikit-learn's; the fit to all images says more
                refusal = None
                continue
            try:
                return _check(fitted, x[chosen])
            except InputError as error:
                refusal = error
    if refusal and not isinstance(refusal.__cause__, ValueError):
        raise refusal


def _check(fitted: Pipeline, x: np.ndarray) -> None:
    predicted = predict_scores(fitted, x, "--estimator").argmax(1)
    _, loaded = unpack(pack([], fitted), FILE)
    # not all: a loaded array may lie otherwise in memory, so sums differ in the last bits, which moves values
    # on the edge of a bin
    if (predict_scores(loaded, x, "--estimator").argmax(1) == predicted).mean() < LEAST_SAME:
        name = type(fitted[-1]).__name__
        raise InputError(f"--estimator {name}: cannot be kept, it predicts something else once it is loaded")
