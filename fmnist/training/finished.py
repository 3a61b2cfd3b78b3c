"""The network of a finished run that a flag of a training names, and what ``run.json`` says of it."""

import hashlib
from typing import Any

from fmnist.core.errors import InputError, quoted
from fmnist.core.runs import Run, network_file
from fmnist.models.classifier import Classifier
from fmnist.models.loading import load_classifier


def finished_network(flag: str, path: str) -> tuple[Run, Classifier]:
    """Open a finished run and load its network, with the weights of the best epoch, ready to evaluate.

    Args:
        flag: Names the run; with its dashes.
        path: A run folder, ``logs/<name>`` for its newest finished run, or the name of a shipped network.

    Raises:
        InputError: There is no such run, or it holds no network.
    """
    try:
        run = Run.find(path)
        if not run.is_scored:
            raise InputError(f"{quoted(run.path)}: is {run.state}, and only a finished run has a model")
        if run.kind != "lightning":
            raise InputError(f"{quoted(run.path)}: is a {run.kind} run, it holds no network")
        return run, load_classifier(run.path)
    except InputError as error:
        raise InputError(f"{flag} {error}") from None


def run_reference(run: Run) -> dict[str, Any]:
    """Return what ``run.json`` says of such a run: name, version, and the SHA-256 of its checkpoint."""
    return {
        "run": run.record.get("name"),
        "version": run.version,
        "sha256": hashlib.sha256(network_file(run.path).read_bytes()).hexdigest(),
    }


def reference_name(reference: dict[str, Any]) -> str:
    """Return name and version of a run in words, from its ``run_reference``."""
    version = reference["version"]
    return f"{reference['run']}" + (f", version {version}" if version >= 0 else "")
