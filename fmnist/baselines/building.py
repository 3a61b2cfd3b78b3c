"""Objects of scikit-learn from a configuration: ``class_path`` and ``init_args``, checked before any data."""

import difflib
import importlib
import inspect
import re
from typing import Any

from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils import all_estimators

from fmnist.core.errors import InputError


def build_classifier(spec: Any, seed: int) -> BaseEstimator:
    """Build the classifier that the key ``estimator`` names.

    Args:
        spec: A mapping of ``class_path`` and, if wanted, ``init_args``; arguments may be such mappings.
        seed: The ``random_state`` of all that take one and name none.

    Raises:
        InputError: There is no such class in scikit-learn, it is no classifier, or it does not take the
            arguments.
    """
    if not (isinstance(spec, dict) and "class_path" in spec):
        raise InputError("--estimator: names no class_path, like sklearn.svm.SVC")
    estimator = build(spec, seed, "--estimator")
    if not is_classifier(estimator):
        raise InputError(f"--estimator {spec['class_path']}: is no classifier of scikit-learn")
    return estimator


def build(spec: Any, seed: int, flag: str) -> Any:
    """Build what a configuration describes; values without ``class_path`` are taken as they are.

    Args:
        spec: Nested mappings, lists and values.
        seed: As above.
        flag: Where the value stands, for messages.

    Raises:
        InputError: It cannot be built.
    """
    if isinstance(spec, list):
        return [build(value, seed, flag) for value in spec]
    if not isinstance(spec, dict):
        return spec
    if "class_path" not in spec:
        return {key: build(value, seed, f"{flag}.{key}") for key, value in spec.items()}
    if unknown := spec.keys() - {"class_path", "init_args"}:
        raise InputError(f"{flag}.{min(unknown)}: is no key here, only class_path and init_args are")
    kind = _find_class(spec["class_path"], flag)
    given = spec.get("init_args") or {}
    if not isinstance(given, dict):
        raise InputError(f"{flag}.init_args {given!r:.40}: must hold arguments by name")
    _check_names(kind, given, flag)
    arguments = {name: build(value, seed, f"{flag}.{name}") for name, value in given.items()}
    if "random_state" in inspect.signature(kind).parameters:
        arguments.setdefault("random_state", seed)
    return _checked(kind, arguments, flag)


def _find_class(path: Any, flag: str) -> type:
    """Return a class of scikit-learn by its dotted name.

    No other package's: what is fitted must load again from a file that runs no foreign code.
    """
    module, _, name = str(path).rpartition(".")
    if module.partition(".")[0] == "sklearn":
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            found = None
        if isinstance(found, type):
            return found
    classes = dict(all_estimators("transformer" if flag.startswith("--features") else "classifier"))
    close = difflib.get_close_matches(name, classes, n=1)
    hint = f"; did you mean {_public_name(classes[close[0]])}?" if close else ""
    raise InputError(f"{flag} {path}: is no class of scikit-learn, like sklearn.svm.SVC{hint}")


def _public_name(kind: type) -> str:
    """Return ``sklearn.svm.SVC`` for the class that lives in ``sklearn.svm._classes``."""
    return re.sub(r"\._\w+", "", f"{kind.__module__}.{kind.__name__}")


def _check_names(kind: type, given: dict[str, Any], flag: str) -> None:
    known = inspect.signature(kind).parameters
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {flag}.{close[0]}?" if close else f"it takes {', '.join(known)}"
            raise InputError(f"{flag}.{name}: {kind.__name__} takes no such argument; {hint}")


def _checked(kind: type, arguments: dict[str, Any], flag: str) -> Any:
    """Construct an object and let scikit-learn judge its arguments, which it otherwise does in ``fit``."""
    try:
        made = kind(**arguments)
        if isinstance(made, BaseEstimator):
            made._validate_params()
    except (TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        name = re.match(r"The '(\w+)' parameter", reason)
        where = f"{flag}.{name[1]} {arguments.get(name[1])!r:.40}" if name else f"{flag} {kind.__name__}"
        raise InputError(f"{where}: {reason}") from None
    return made
