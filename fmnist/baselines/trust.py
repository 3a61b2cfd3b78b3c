"""Which types a file may hold, so that loading it and using what was loaded executes nothing that it brings.

skops builds only what is trusted, and trusts by itself containers, arrays, numpy's ufuncs and the public
estimators of scikit-learn. What fitted estimators hold beyond that is trusted here by this rule: a class that
scikit-learn itself defines, below one of ``FAMILIES``; a public function that one of ``FUNCTION_MODULES``
defines; or one of ``OTHERS``. The reason: their constructors and methods only compute with what they hold,
touch no files, and call only functions that they hold, each of which must be trusted as well. Of what skops
trusts, ``READERS`` and methods outside ``METHODS`` are refused. Nothing is imported because a file names it.
"""

import sys
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any

import skops.io  # imports the modules of scikit-learn
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401

FAMILIES = {
    "sklearn.base.BaseEstimator",  # experimental ones, and private ones that others are made of
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.cluster._bisect_k_means._BisectingTree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process.kernels.Kernel",
    "sklearn.metrics._dist_metrics.DistanceMetric",
    "sklearn.metrics._scorer._BaseScorer",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.model_selection._split.BaseCrossValidator",
    "sklearn.model_selection._split.BaseShuffleSplit",
    "sklearn.model_selection._split._RepeatedSplits",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.BaseOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",  # a dictionary
}
"""Classes of scikit-learn by the name under which they are defined; each stands for its subclasses, too."""

FUNCTION_MODULES = {
    "sklearn.feature_selection._mutual_info",
    "sklearn.feature_selection._univariate_selection",
    "sklearn.metrics._classification",
    "sklearn.metrics._ranking",
    "sklearn.metrics._regression",
    "sklearn.metrics.cluster._supervised",
}
"""Their public functions compute numbers from arrays: what scorers measure, what ``SelectKBest`` ranks by."""

OTHERS = {
    "numpy.dtype",
    "numpy.mean",  # of FeatureAgglomeration
    "scipy._lib.array_api_compat.numpy._aliases.asarray",  # of BSpline
    "scipy.interpolate._bsplines.BSpline",  # of SplineTransformer
    "scipy.sparse._csr.csr_array",
    "scipy.sparse._csr.csr_matrix",  # of an SVC that was fitted on sparse features
    "sklearn.cluster._kmeans._kmeans_single_lloyd",  # of BisectingKMeans
    "sklearn.impute._iterative._ImputerTriplet",
}
CALLERS = ("sklearn.metrics._dist_metrics.PyFuncDistance", "sklearn.utils.")
"""Beginnings of names that are refused, although below a family: they exist to call any function (mocks for
tests among them)."""
READERS = "sklearn.feature_extraction.text."
"""Beginning of names that are refused, although skops trusts them: these classes can open files."""
METHOD_KEYS = {"stack_method", "stack_method_", "response_method", "_response_method"}
"""Attributes that name methods: scikit-learn looks them up in any object, even ``tofile`` in an array."""
METHODS = {
    "builtins.list",
    "builtins.tuple",
    *(f'json-type("{name}")' for name in ("auto", "decision_function", "predict", "predict_proba")),
}
"""What these attributes may hold, as skops describes it."""


def is_trusted(name: str) -> bool:
    """Return whether a type or function, as skops names it, is trusted by the rule above."""
    if name in OTHERS or name in FAMILIES:
        return True
    module, _, attribute = name.rpartition(".")
    # not getattr, which lets a module import another one
    found = vars(sys.modules[module]).get(attribute) if module in sys.modules else None
    if not module.startswith("sklearn.") or name.startswith(CALLERS) or _name_of(found) != name:
        return False  # not scikit-learn's, or another name for something that is defined elsewhere
    if isinstance(found, type):
        return any(_name_of(base) in FAMILIES for base in found.__mro__)
    return isinstance(found, FunctionType) and module in FUNCTION_MODULES and not attribute.startswith("_")


def split_types(content: bytes) -> tuple[list[str], list[str]]:
    """Return what a skops file holds beyond skops' own list and is trusted, and all that is not trusted."""
    types = skops.io.get_untrusted_types(data=content)
    trusted = [name for name in types if is_trusted(name)]
    refused = [name for name in types if name not in trusted]
    skops.io.visualize(content, sink=lambda nodes, _: refused.extend(_misused(nodes)))
    return trusted, refused


def _misused(nodes: Iterable[Any]) -> Iterator[str]:
    """Yield what skops trusts, although it could touch files, of a file's nodes in depth-first order."""
    level = None  # of the node that names methods, while its parts follow
    for node in nodes:
        if level is None or node.level <= level:
            level = node.level if node.key in METHOD_KEYS else None
        if level is not None and node.val not in METHODS:
            yield f"{node.val} as a method"
        elif node.val.startswith(READERS):
            yield node.val


def _name_of(value: Any) -> str:
    return f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', None)}"
