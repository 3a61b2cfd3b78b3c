"""Finished runs that flags of a training name: network, weights, and what ``run.json`` says of them."""

import hashlib
import inspect
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fmnist.core.errors import InputError, one_line, quoted
from fmnist.core.runs import Run, network_file
from fmnist.core.splits import keeps_apart
from fmnist.models.classifier import Classifier
from fmnist.models.loading import load_classifier


def finished_network(flag: str, path: str, config: Any) -> tuple[Run, Classifier]:
    """Open a finished run and load its network, with the weights of the best epoch, ready to evaluate.

    Args:
        flag: Names the run; with its dashes.
        path: A run folder, ``logs/<name>`` for its newest finished run, or the name of a shipped network.
        config: Of the training that needs it.

    Raises:
        InputError: There is no such run, or it holds no network, or it would be another one the next time.
    """
    if Path(path).resolve() == Path(config.logs, config.name).resolve():
        raise InputError(
            f"{flag} {quoted(path)}: this run gets its folder there, and the next one would take it instead; "
            "name the version, or give this run another --name"
        )
    try:
        run = Run.find(path)
        if not run.is_scored:
            raise InputError(f"{quoted(run.path)}: is {run.state}, and only a finished run has a model")
        if run.kind != "lightning":
            raise InputError(f"{quoted(run.path)}: is a {run.kind} run and holds no network")
        return run, load_classifier(run.path)
    except InputError as error:
        raise InputError(f"{flag} {error}") from None


def load_initial_weights(model: Classifier, config: Any) -> dict[str, Any]:
    """Give a model the weights of the best epoch of the run that ``--init`` names, see ``finished_network``.

    Returns:
        The ``run_reference`` of the run.

    Raises:
        InputError: There is no such run, it holds no network, or another one than ``model``.
    """
    run, trained = finished_network("--init", config.init, config)
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


def run_reference(run: Run) -> dict[str, Any]:
    """Return what ``run.json`` says of such a run: its name and version, and of what it was made.

    That is the SHA-256 of its checkpoint and of its data files, and its split.
    """
    return {
        "run": run.record.get("name"),
        "version": run.version,
        "sha256": hashlib.sha256(network_file(run.path).read_bytes()).hexdigest(),
        "data_sha256": run.record.get("data_sha256"),
        "split": run.split,
    }


def reference_name(reference: dict[str, Any]) -> str:
    """Return name and version of a run in words, from its ``run_reference``."""
    version = reference["version"]
    return f"{reference['run']}" + (f", version {version}" if version >= 0 else "")


def validation_warnings(
    references: Iterable[dict[str, Any]], data_sha256: dict[str, str], split: dict[str, Any]
) -> Iterator[str]:
    """Yield a warning of each run that may have seen validation images of a training that builds on it.

    Args:
        references: The ``run_reference`` of each run.
        data_sha256: Of the training's data, as ``run.json`` records it.
        split: Of the training, as ``run.json`` records it.
    """
    for reference in references if split["val"] else ():
        if reference["data_sha256"] != data_sha256:
            reason = "was trained on other data files"
        elif not keeps_apart(reference["split"], split):
            reason = "was trained with another split, which may use validation images of this run"
        else:
            continue
        yield (
            f"warning: {reference_name(reference)} {reason}, so the validation accuracy of this run may be "
            "too high"
        )
