"""The configuration that a command of train.py or baseline.py resolves to, or what is wrong with it.

The commands are parsed in a process of its own, once it has imported the libraries: that takes a tenth of
the time of a process for each, and leaves the memory of PyTorch out of a study that runs for hours.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fmnist.core.commands import shipped_path
from fmnist.core.errors import InputError
from fmnist.core.runs import STUDY


class Resolved(NamedTuple):
    """What a command line means.

    Attributes:
        config: The resolved configuration.
        metrics: Names of the validation metrics that the run will have, like ``val/accuracy``.
    """

    config: dict[str, Any]
    metrics: list[str]


class Resolver:
    """Resolves commands in a process, which ends with the ``with`` block."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - no pipe, which would fill unread

    def __enter__(self) -> "Resolver":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._output.close()

    def close(self) -> None:
        """End the process, and with it its memory; the next command starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def resolve(self, command: list[str]) -> Resolved:
        """Return what a command, script and arguments, resolves to.

        Raises:
            InputError: The script refuses the command; the message is its own.
        """
        script, *args = command
        kind = Path(script).stem
        if not Path(script).exists():
            raise InputError(f"{script}: does not exist")
        if kind not in _PARSERS or not Path(script).samefile(shipped_path(f"scripts/{kind}.py")):
            return _printed(command)
        if self._process is None:
            self._output.seek(0)
            self._output.truncate()
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve()"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._output,
                text=True, start_new_session=True,
            )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([kind, args]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._process.communicate()
            self._output.seek(0)
            raise RuntimeError(f"the process that checks command lines has ended:\n{self._output.read()}")
        reply = json.loads(line)
        if "error" in reply:
            raise InputError(reply["error"])
        return Resolved(reply["config"], reply["metrics"])


def _printed(command: list[str]) -> Resolved:
    """Return what another script prints as its configuration."""
    printed = subprocess.run(
        [sys.executable, *command, "--print_config"], capture_output=True, text=True, check=False
    )
    if printed.returncode:
        raise InputError(printed.stderr.strip().removeprefix("error: "))
    return Resolved(yaml.safe_load(printed.stdout), ["val/accuracy"])


def serve() -> None:
    """Answer commands, a JSON line each, until standard input ends."""
    os.environ.pop(STUDY, None)
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever is printed must not come between the replies
    for line in sys.stdin:
        kind, args = json.loads(line)
        try:
            resolved = _PARSERS[kind](args)
            reply: dict[str, Any] = resolved._asdict()
        except InputError as error:
            reply = {"error": str(error)}
        except SystemExit:
            reply = {"error": f"{' '.join(args)}: describes no run"}
        print(json.dumps(reply, default=str), file=replies, flush=True)


def _training(args: list[str]) -> Resolved:
    from fmnist.training.command_line import parse

    return Resolved(yaml.safe_load(parse(args).config_yaml), _validation_metrics())


def _baseline(args: list[str]) -> Resolved:
    from fmnist.baselines.building import build_classifier, build_transformers
    from fmnist.baselines.config import configure
    from fmnist.baselines.members import find_members
    from fmnist.core.metrics import METRICS

    config, _ = find_members(configure(args))
    metrics = _validation_metrics()
    if config.estimator is not None:
        build_transformers(config.features, config.seed_everything)
        classifier = build_classifier(config.estimator, config.seed_everything)
        # stacking has what its final estimator has, once it is fitted
        if not hasattr(classifier, "predict_proba") and not hasattr(classifier, "final_estimator"):
            lacking = {
                "loss",
                *(metric.name for metric in METRICS if not metric.applies_to("decision scores")),
            }
            metrics = [name for name in metrics if name.removeprefix("val/") not in lacking]
    return Resolved(yaml.safe_load(config.dump()), metrics)


def _validation_metrics() -> list[str]:
    from fmnist.models.metrics import logged_names

    return [name for name in logged_names() if name.startswith("val/")]


_PARSERS = {"train": _training, "baseline": _baseline}
