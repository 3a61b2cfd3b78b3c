"""The flags of ``scripts/train.py``, and its help text: this project's flags first, Lightning's last."""

import importlib
import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator
from typing import Any, NamedTuple

import docstring_parser
from lightning.pytorch import Trainer

from fmnist.data.augmentation import Augmentation
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models import shipped_networks
from fmnist.models.classifier import Classifier
from fmnist.models.distillation import TEMPERATURE, WEIGHT

USAGE = """\
usage: python scripts/train.py --config FILE [--config FILE ...] [--FLAG VALUE ...]

Train a network on Fashion-MNIST, test its best epoch, and leave a run folder.
Every flag is also a key of a YAML file: --data.batch_size 250 is data: {batch_size: 250}.
Later files and flags win."""
INDENT = 30  # column of the explanations


class Flag(NamedTuple):
    """A flag, without its dashes, and what a user must know of it."""

    name: str
    help: str
    default: Any = None
    type: Any = str


RUN_FLAGS = (
    Flag("seed_everything", "Seed of weights, order and augmentation.", 0, int),
    Flag("name", "Name of the run: its folder is LOGS/NAME/VERSION.", "run"),
    Flag("logs", "Folder of all runs.", "logs"),
    Flag(
        "init",
        "Finished run of the same network: folder, logs/NAME or shipped NAME; begin with its weights.",
        None,
        str | None,
    ),
    Flag(
        "teachers",
        "Finished runs of networks that teach this one, e.g. cnn or [logs/A, logs/B].",
        None,
        list[str] | str | None,
    ),
    Flag("teacher_weight", f"Their share of the loss; null is {WEIGHT:g}.", None, float | None),
    Flag("teacher_temperature", f"Their softmax temperature; null is {TEMPERATURE:g}.", None, float | None),
    Flag(
        "ema", "Decay of the moving average of the weights, less at first; null for none.", None, float | None
    ),
    Flag(
        "early_stopping",
        "Stop after this many validations without a better val/accuracy; null never does.",
        None,
        int | None,
    ),
    Flag("checkpoint_minutes", "Minutes between two checkpoints.", 10.0, float),
    Flag("test", "Whether to test the best epoch.", True, bool),
    Flag(
        "resume",
        "Folder of a stopped run, which continues exactly; of a finished one, with a larger limit.",
        None,
        str | None,
    ),
)
"""The project's own flags that belong to neither model, data nor trainer."""

OTHER_FLAGS = (
    Flag("config FILE", "YAML file of flags; several stack. configs/ holds one for each model."),
    Flag("print_config", "Print the resolved configuration and stop."),
    Flag("help", "Show this text; with --config or --model, the flags of that network, too."),
    Flag("trainer.help", "Show all flags of Lightning's Trainer."),
)

TRAINER_FLAGS = {
    "max_epochs": "Number of epochs (default: 10).",
    "max_steps": "Number of optimiser steps; -1 is no limit.",
    "max_time": "Longest time, DD:HH:MM:SS; --resume goes on for as long again.",
    "accelerator": "cpu, gpu or auto.",
    "devices": "How many of them.",
    "num_nodes": "How many machines.",
    "strategy": "How several processes work together, e.g. ddp.",
    "precision": "e.g. 32-true or bf16-mixed; by default bfloat16 where the machine has instructions for it.",
    "accumulate_grad_batches": "Batches whose gradients are added up before a step.",
    "gradient_clip_val": "Largest norm of the gradients.",
    "limit_train_batches": "Batches of an epoch, a number (1) or share (1.0 is all); also limit_val_batches.",
    "check_val_every_n_epoch": "Epochs between two validations.",
    "callbacks": "More callbacks, by class path.",
    "logger": "More loggers, by class path; false adds none.",
    "profiler": "simple or advanced: where the time goes.",
    "enable_progress_bar": "Whether to show a progress bar.",
}
"""Those of the Trainer's flags that the help text shows."""


def text(model: str | None = None) -> str:
    """Return the help text, with the flags of the network ``model``, a class name or path, if it is given."""
    names = ", ".join(shipped_networks())
    kind = _find_model(model)
    parts = [
        USAGE,
        _section("The run", [*OTHER_FLAGS, *RUN_FLAGS]),
        _section(
            "The network",
            [Flag("model CLASS", f"{names}, or the path of a class of your own, e.g. my_model.LitLinear.")],
        ),
    ]
    if kind is not None and (own := list(_own_flags(kind))):
        parts.append(_section(f"Flags of {kind.__name__}", own))
    parts += [
        _section("Training, for every network", list(_flags_of(Classifier, "model", skip=("network",)))),
        _section("Data", list(_flags_of(FashionMNISTDataModule, "data", skip=("augmentation", "seed")))),
        _section("Augmentation, all off by default", list(_flags_of(Augmentation, "data.augmentation"))),
        _section(
            f"Lightning's Trainer, the commonest of {len(_trainer_parameters())} flags (all: --trainer.help)",
            [Flag(f"trainer.{name}", description) for name, description in TRAINER_FLAGS.items()],
        ),
    ]
    return "\n\n".join(parts)


def trainer_flags() -> str:
    """Return the help text of all flags of Lightning's Trainer."""
    documented = _documentation(Trainer.__init__)
    flags = [
        Flag(f"trainer.{name}", _without_markup(documented.get(name, ""))) for name in _trainer_parameters()
    ]
    return _section("All flags of Lightning's Trainer", flags)


def flag_names(model: str | None = None) -> list[str]:
    """Return the names of all flags; of the networks' own, those of one network, or of all."""
    kind = _find_model(model)
    is_network = kind is not None and issubclass(kind, Classifier)  # it may be a callback's
    kinds = [kind] if kind is not None and is_network else list(shipped_networks().values())
    own = [flag.name for kind in kinds for flag in _own_flags(kind)]
    return [
        "config",
        *(flag.name for flag in RUN_FLAGS),
        *own,
        *(flag.name for flag in _flags_of(Classifier, "model", skip=("network",))),
        *(flag.name for flag in _flags_of(FashionMNISTDataModule, "data", skip=("seed",))),
        *(flag.name for flag in _flags_of(Augmentation, "data.augmentation")),
        *(f"trainer.{name}" for name in _trainer_parameters()),
    ]


def _find_model(name: str | None) -> type | None:
    """Return the class of a network by name or path; None where there is no such class."""
    if name is None or name in shipped_networks():
        return shipped_networks().get(name or "")
    module, _, attribute = name.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError):
        return None
    return kind if isinstance(kind, type) else None


def _own_flags(kind: type) -> Iterator[Flag]:
    """Yield the flags that a network has beside those of ``Classifier``."""
    common = inspect.signature(Classifier).parameters
    yield from _flags_of(kind, "model", skip=(*common, "training"))


def _flags_of(kind: type, prefix: str, skip: tuple[str, ...] = ()) -> Iterator[Flag]:
    """Yield the arguments of a class as flags, with their documentation and defaults."""
    documented = _documentation(kind)
    for name, parameter in inspect.signature(kind).parameters.items():
        if name not in skip:
            yield Flag(f"{prefix}.{name}", _without_markup(documented.get(name, "")), parameter.default)


def _documentation(thing: Any) -> dict[str, str]:
    """Return the description of each argument of a class or function."""
    parsed = docstring_parser.parse_from_object(thing)
    return {item.arg_name: item.description or "" for item in parsed.params if hasattr(item, "arg_name")}


def _trainer_parameters() -> list[str]:
    return list(inspect.signature(Trainer).parameters)


def _without_markup(description: str) -> str:
    """Return documentation without the markup of Sphinx."""
    description = re.sub(r":\w+:`~?(?:[\w.]+\.)?([\w ]+)(?: <[^>]*>)?`", r"\1", description)
    description = re.sub(r"``?([^`]*)``?(?: <[^>]*>)?_?", r"\1", description)
    description = re.sub(r"\.\. \w+::", "", description)
    return " ".join(description.replace("<!-- ", "").split())


def _section(title: str, flags: list[Flag]) -> str:
    """Return a heading, and the flags below it, wrapped to the terminal."""
    width = min(shutil.get_terminal_size().columns, 110)
    lines = [f"{title}:"]
    for flag in flags:
        default = f" (default: {_shown(flag.default)})" if flag.default is not None else ""
        entry = f"  --{flag.name}"
        body = textwrap.wrap(flag.help + default, max(width - INDENT, 30)) or [""]
        if len(entry) > INDENT - 2:
            lines.append(entry)
            entry = ""
        lines.append(f"{entry:{INDENT}}{body[0]}".rstrip())
        lines += [" " * INDENT + line for line in body[1:]]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    """Return a default as one types it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(str, value))}]" if isinstance(value, tuple | list) else str(value)
