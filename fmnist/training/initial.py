"""Begin a training with the weights of a finished run: ``--init``."""

import inspect
from typing import Any

from fmnist.core.errors import InputError, one_line, quoted
from fmnist.models.classifier import Classifier
from fmnist.training.finished import finished_network, run_reference


def load_initial_weights(model: Classifier, path: str) -> dict[str, Any]:
    """Give a model the weights of the best epoch of a finished run; everything else starts afresh.

    Args:
        model: Of the same class and architecture as the run's.
        path: A run folder, or ``logs/<name>`` for its newest finished run.

    Returns:
        What ``run.json`` records: name and version of the run, and the SHA-256 of its checkpoint.

    Raises:
        InputError: There is no such run, it holds no network, or another one than ``model``.
    """
    run, trained = finished_network("--init", path)
    if type(trained) is not type(model):
        wanted = f"{type(trained).__module__}.{type(trained).__name__}"
        raise InputError(
            f"--model {type(model).__name__}: --init {quoted(run.path)} is a {wanted}; take that"
        )
    try:
        model.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        differing = _differences(model, trained)
        reason = "; ".join(differing) or f"its weights do not fit ({one_line(error)})"
        raise InputError(f"--init {quoted(run.path)}: is another network: {reason}") from None
    return run_reference(run)


def _differences(model: Classifier, trained: Classifier) -> list[str]:
    """Return the flags of the network itself that differ, each with both values."""
    common = inspect.signature(Classifier).parameters
    values = [
        {name: list(value) if isinstance(value, tuple) else value for name, value in each.hparams.items()}
        for each in (model, trained)
    ]
    return [
        f"--model.{name} {value}, there {values[1].get(name)}"
        for name, value in values[0].items()
        if name not in common and not name.startswith("_") and value != values[1].get(name)
    ]
