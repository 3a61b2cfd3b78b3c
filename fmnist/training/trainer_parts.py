"""The parts of Lightning that flags of ``--trainer`` name: what does not go with a run, and its errors."""

import difflib
import inspect
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any

import jsonargparse
import torch
from lightning.pytorch import Trainer, accelerators, callbacks, loggers, plugins, profilers, strategies
from lightning.pytorch.plugins import CheckpointIO, DeepSpeedPrecision, FSDPPrecision, LayerSync, Precision
from lightning.pytorch.plugins.environments import ClusterEnvironment
from lightning.pytorch.strategies import StrategyRegistry

from fmnist.core.errors import InputError, one_line
from fmnist.models.classifier import Classifier
from fmnist.models.metrics import logged_names
from fmnist.training.checkpoints import BEST, BEST_BEFORE_END, LAST, PREVIOUS

PARTS: dict[str, tuple[Any, tuple[type, ...]]] = {
    "callbacks": (callbacks, (callbacks.Callback,)),
    "logger": (loggers, (loggers.Logger,)),
    "profiler": (profilers, (profilers.Profiler,)),
    "strategy": (strategies, (strategies.Strategy,)),
    "accelerator": (accelerators, (accelerators.Accelerator,)),
    "plugins": (plugins, (Precision, ClusterEnvironment, CheckpointIO, LayerSync)),
}
"""By flag of the Trainer, the module of its classes, and their base classes."""

UNSUITABLE: tuple[tuple[type, str], ...] = (
    (
        callbacks.LearningRateFinder,
        "the schedule would replace its rate, which config.yaml does not hold; try several "
        "--model.learning_rate",
    ),
    (callbacks.BatchSizeFinder, "config.yaml would not hold its batch size; try several --data.batch_size"),
    (
        callbacks.StochasticWeightAveraging,
        "its average is neither validated nor tested; take --ema, e.g. --ema 0.99",
    ),
    (
        callbacks.WeightAveraging,
        "its average would be tested instead of the best epoch; take --ema, e.g. --ema 0.99",
    ),
    (callbacks.OnExceptionCheckpoint, "a run keeps last.ckpt itself, from which --resume continues"),
    (CheckpointIO, "a run writes its checkpoints itself, none of them in part; leave it out"),
    (strategies.ModelParallelStrategy, "no network here is split over devices; take ddp"),
    *(
        (kind, "belongs to a strategy, which chooses it by --trainer.precision; leave it out")
        for kind in (DeepSpeedPrecision, FSDPPrecision)
    ),
)
"""What cannot work in a run, and why; subclasses are meant, too."""

OWN_CHECKPOINTS = [Path(name).stem for name in (BEST, LAST, PREVIOUS, BEST_BEFORE_END)]


def flag_of(part: type) -> str:
    """Return a flag and its value as the user wrote it, for a class that it names."""
    flag = next(flag for flag, (_, kinds) in PARTS.items() if issubclass(part, kinds))
    return f"--trainer.{flag} {part.__name__}"


def resolve_classes(trainer: jsonargparse.Namespace) -> None:
    """Take the name of a class for the class, in the flags that also take words such as ``ddp``."""
    for flag in ("strategy", "accelerator", "profiler"):
        name, module = trainer[flag], PARTS[flag][0]
        concrete = isinstance(name, str) and not inspect.isabstract(getattr(module, name, None))
        if concrete and (name in module.__all__ or "." in name):
            path = name if "." in name else f"{module.__name__}.{name}"
            trainer[flag] = jsonargparse.Namespace(class_path=path, init_args=jsonargparse.Namespace())


def check_parts(
    arguments: dict[str, Any],
    trainer: jsonargparse.Namespace,
    model: Classifier,
    val_size: int,
    photographs: bool,
) -> None:
    """Refuse what would fail, or have no effect, only after the training has begun.

    Args:
        arguments: Of the Trainer, the parts built.
        trainer: The same as configured.
        model: The model that is trained.
        val_size: Number of validation images.
        photographs: Whether it is validated on photographs, too.

    Raises:
        InputError: A part does not go with a run; its flag is named.
    """
    parts = [part for flag in PARTS for part in as_list(arguments[flag]) if not isinstance(part, str | bool)]
    for part in parts:
        for kind, reason in UNSUITABLE:
            if isinstance(part, kind):
                raise InputError(f"{flag_of(type(part))}: {reason}")
        if type(part) in (callbacks.BaseFinetuning, callbacks.ProgressBar):
            raise InputError(f"{flag_of(type(part))}: is a base class; name a class of your own")
        if isinstance(part, callbacks.BackboneFinetuning) and not hasattr(model, "backbone"):
            raise InputError(f"{flag_of(type(part))}: needs a model with the attribute backbone")
        in_run = isinstance(part, callbacks.ModelCheckpoint) and part.dirpath is None
        if in_run and (part.save_last or part.filename in OWN_CHECKPOINTS):
            flaw = "save_last" if part.save_last else f"filename {part.filename}"
            raise InputError(
                f"{flag_of(type(part))}: {flaw} would replace a checkpoint of the run; leave it out, "
                "or give a dirpath"
            )
        if isinstance(part, Precision) and trainer.precision is not None:
            raise InputError(f"--trainer.precision {trainer.precision}, {flag_of(type(part))}: choose one")
    profiler = trainer.profiler
    emits_nvtx = isinstance(profiler, jsonargparse.Namespace) and profiler.get("init_args.emit_nvtx")
    if emits_nvtx and not torch.cuda.is_available():
        raise InputError("--trainer.profiler.emit_nvtx true: needs an NVIDIA GPU")
    validates = trainer.limit_val_batches != 0
    names = [
        name
        for name in logged_names(photographs)
        if not name.startswith("val/") or (validates and (val_size > 0 or name == "val/photographs"))
    ]
    _check_monitored(as_list(arguments["callbacks"]), model, names)


def _check_monitored(parts: list[Any], model: Classifier, known: list[str]) -> None:
    """Refuse callbacks that watch what nothing logs; code of the user's own may log anything."""
    if not all(type(part).__module__.startswith(("lightning.", "fmnist.")) for part in (model, *parts)):
        return
    for part in parts:
        monitor = getattr(part, "monitor", None)
        if isinstance(monitor, str) and monitor not in (*known, "epoch", "step"):
            close = difflib.get_close_matches(monitor.replace("_", "/", 1), known, n=1, cutoff=0.7)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise InputError(f"{flag_of(type(part))}: monitor {monitor} is not logged; {hint}")


def check_launch(trainer: Trainer, strategy: Any) -> None:
    """Refuse processes that could not be started, or would wait for others for ever.

    ``strategy`` is the flag as configured: a name, or a class with its arguments.

    Raises:
        InputError: The flag is named.
    """
    if isinstance(strategy, jsonargparse.Namespace):
        name, method = strategy.class_path.rpartition(".")[2], strategy.get("init_args.start_method")
    else:
        name, registered = strategy, dict(StrategyRegistry).get(strategy, {})
        method = registered.get("init_params", {}).get("start_method")
    if method not in (None, "popen"):
        raise InputError(
            f"--trainer.strategy {name}: starts its processes by {method}, which cannot copy the open "
            "files and threads of a run; take ddp"
        )
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if trainer.world_size == 1 or (environment and environment.creates_processes_externally):
        return
    if hasattr(sys, "ps1") or not (sys.modules["__main__"].__spec__ or Path(sys.argv[0]).is_file()):
        raise InputError(
            f"--trainer.devices {trainer.num_devices}: several processes need a script that each of them "
            "runs, like scripts/train.py; take 1 here"
        )
    if trainer.num_nodes > 1 and "MASTER_ADDR" not in os.environ:
        raise InputError(
            f"--trainer.num_nodes {trainer.num_nodes}: start the processes by torchrun or SLURM, or set "
            "MASTER_ADDR and NODE_RANK on each machine"
        )


def trainer_error(error: BaseException, trainer: jsonargparse.Namespace) -> InputError:
    """Return what Lightning objected to as bad input, with the flags that it speaks of."""
    message, places = one_line(error, 1_000), []
    given = {
        name: [_word(item) for item in as_list(trainer[name])]
        for name, parameter in inspect.signature(Trainer).parameters.items()
        if trainer[name] not in (None, False, parameter.default)
    }
    for name, values in given.items():
        words = [name, *(value.partition("_")[0] for value in values if value.isidentifier())]
        places += [
            (match.start(), name) for word in words if (match := re.search(f"(?<!/){word}", message, re.I))
        ]
    # a package that is missing need not be called like what needs it
    flags = [name for _, name in sorted(places)]
    if not flags and isinstance(error, ImportError):
        flags = [name for name in ("accelerator", "strategy", "profiler") if name in given]
    written = ", ".join(f"--trainer.{name} {' '.join(given[name])}" for name in dict.fromkeys(flags))
    return InputError(f"{written or '--trainer'}: {message}")


def _word(value: Any) -> str:
    """Return a value of a flag as one word: of a configured class, its name."""
    is_class = isinstance(value, jsonargparse.Namespace)
    return value.class_path.rpartition(".")[2] if is_class else str(value)


def raised_by_lightning(error: BaseException) -> bool:
    """Tell whether Lightning itself objected, rather than code that it called."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    is_theirs = bool(frames) and frames[-1].f_globals.get("__name__", "").startswith("lightning.")
    return isinstance(error, ValueError | TypeError | RuntimeError) and is_theirs


def as_list(value: Any) -> list[Any]:
    """Return the value of a flag that takes one thing or several as a list."""
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
