"""A configuration's ``class_path`` and ``init_args`` to objects of scikit-learn, checked before any data."""

import contextlib
import difflib
import importlib
import inspect
import re
from collections.abc import Container, Iterable
from typing import Any

from sklearn.base import BaseEstimator, is_classifier
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.model_selection import BaseCrossValidator
from sklearn.utils import all_estimators

from fmnist.baselines.features import EXTRACTORS, TRANSFORMERS, first_step, split_step
from fmnist.core.errors import InputError, one_line


def build_classifier(spec: Any, seed: int) -> BaseEstimator:
    """Build the classifier that the key ``estimator`` describes, with ``seed`` as default ``random_state``.

    Raises:
        InputError: There is no such class in scikit-learn, it is no classifier, or it does not take the
            arguments.
    """
    if not (isinstance(spec, dict) and "class_path" in spec):
        raise InputError("--estimator: names no class_path, like sklearn.svm.SVC")
    estimator = build(spec, seed, "--estimator")
    with contextlib.suppress(Exception):  # a pipeline asks its steps, which may be anything
        if isinstance(estimator, BaseEstimator) and is_classifier(estimator):
            return estimator
    raise InputError(f"--estimator {spec['class_path']}: is no classifier of scikit-learn")


def build_transformers(features: Any, seed: int) -> list[BaseEstimator]:
    """Build the steps of ``features`` after the extractor, with ``seed`` as default ``random_state``.

    A step is a short name, ``{name: value}``, or ``class_path`` and ``init_args``.

    Raises:
        InputError: A step is unknown, misplaced or no transformer, or does not take its arguments.
    """
    name, arguments = first_step(features)
    EXTRACTORS[name].check(arguments)
    begins_with_extractor = features and split_step(features[0])[0] in EXTRACTORS
    return [_build_transformer(step, seed) for step in features[bool(begins_with_extractor) :]]


def _build_transformer(step: Any, seed: int) -> BaseEstimator:
    name, value = split_step(step)
    if name in EXTRACTORS:
        raise InputError(f"--features {name}: must be the first of the steps")
    if name in TRANSFORMERS:
        path, bare = TRANSFORMERS[name]
        if value is not None and not isinstance(value, dict):
            if bare is None:
                raise InputError(f"--features {name} {value!r:.40}: takes arguments by name only")
            value = {bare: value}
        step = {"class_path": path, "init_args": value or {}}
    elif name != "class_path":
        known = ", ".join((*EXTRACTORS, *TRANSFORMERS))
        raise InputError(f"--features {name}: no such step; there are {known}, and class_path for any other")
    transformer = build(step, seed, f"--features {name}" if name != "class_path" else "--features")
    if not hasattr(transformer, "transform"):
        raise InputError(f"--features {step['class_path']}: is no transformer of scikit-learn")
    return transformer


def validating_argument(estimator: BaseEstimator) -> str | None:
    """Return the argument by which an estimator holds out some of the images that it is given, or None."""
    arguments = estimator.get_params()
    for name, value in arguments.items():
        last = name.rpartition("__")[2]
        stops_early = last == "n_iter_no_change" and name.replace(last, "early_stopping") not in arguments
        holds_out = last in ("early_stopping", "oob_score") or stops_early
        # SVC's probability is text by default
        if last == "cv" or (holds_out and value) or (last == "probability" and value is True):
            return f"{type(estimator).__name__}'s {name}"
    return None


def build(spec: Any, seed: int, flag: str) -> Any:
    """Build the objects in nested mappings and lists; values without ``class_path`` stay as they are.

    ``flag`` is the flag that sets the value, for messages.

    Raises:
        InputError: An object cannot be built.
    """
    if isinstance(spec, list):
        return [build(value, seed, flag) for value in spec]
    if not isinstance(spec, dict):
        return spec
    if "class_path" not in spec:
        return {key: build(value, seed, f"{flag}.{key}") for key, value in spec.items()}
    if unknown := spec.keys() - {"class_path", "init_args"}:
        raise InputError(
            f"{flag}.{min(map(str, unknown))}: is no key here, only class_path and init_args are"
        )
    kind = _find_class(spec["class_path"], flag)
    given = spec.get("init_args") or {}
    if not isinstance(given, dict):
        raise InputError(f"{flag}.init_args {given!r:.40}: must hold arguments by name")
    known = _parameters(kind, given, flag)
    arguments = {name: build(value, seed, f"{flag}.{name}") for name, value in given.items()}
    # a splitter that does not shuffle refuses a seed
    if "random_state" in known and (not issubclass(kind, BaseCrossValidator) or arguments.get("shuffle")):
        arguments.setdefault("random_state", seed)
    return _construct(kind, arguments, flag)


def _find_class(path: Any, flag: str) -> type:
    """Return a class of scikit-learn by its dotted name.

    No other package's: what is fitted must load again from a file that runs no foreign code.
    """
    module, _, name = str(path).rpartition(".")
    package = module.partition(".")[0]
    if package not in ("", "sklearn"):
        raise InputError(
            f"{flag} {path}: is of another package than scikit-learn, whose classes alone can be kept in a "
            "file that is safe to load (for boosted trees, sklearn.ensemble.HistGradientBoostingClassifier)"
        )
    if package:
        try:
            kind = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            kind = None
        if isinstance(kind, type) and kind.__module__.startswith("sklearn."):
            return kind
    classes = dict(all_estimators("transformer" if flag.startswith("--features") else "classifier"))
    # XGBClassifier without its package is no slip of the pen for SGDClassifier
    close = difflib.get_close_matches(name, classes, n=1, cutoff=0.6 if package else 0.9)
    hint = f"; did you mean {_public_name(classes[close[0]])}?" if close else ""
    raise InputError(f"{flag} {path}: is no class of scikit-learn, like sklearn.svm.SVC{hint}")


def _public_name(kind: type) -> str:
    """Return ``sklearn.svm.SVC`` for the class that is defined in ``sklearn.svm._classes``."""
    return re.sub(r"\._\w+", "", f"{kind.__module__}.{kind.__name__}")


def _parameters(kind: type, given: Iterable[str], flag: str) -> Container[str]:
    """Return the names of the arguments that a class takes; refuse any other that is given."""
    try:
        known = inspect.signature(kind).parameters
    except ValueError:  # it is written in C
        raise InputError(f"{flag} {_public_name(kind)}: does not say which arguments it takes") from None
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {flag}.{close[0]}?" if close else f"it takes {', '.join(known)}"
            raise InputError(f"{flag}.{name}: {kind.__name__} takes no such argument; {hint}")
    return known


def _construct(kind: type, arguments: dict[str, Any], flag: str) -> Any:
    """Construct an object and let scikit-learn check its arguments, which it otherwise does in ``fit``."""
    try:
        instance = kind(**arguments)
        if hasattr(instance, "_parameter_constraints"):
            instance._validate_params()  # scikit-learn has no public way
    except (TypeError, ValueError, AttributeError) as error:  # a few constructors compute
        reason = one_line(error)
        name = re.match(r"The '(\w+)' parameter", reason)
        where = f"{flag}.{name[1]} {arguments.get(name[1])!r:.40}" if name else f"{flag} {kind.__name__}"
        raise InputError(f"{where}: {reason}") from None
    return instance
