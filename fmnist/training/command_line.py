"""The command line of a training: flags and YAML files in, a checked configuration and its objects out."""

import argparse
import itertools
import re
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import jsonargparse
import torch
import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from fmnist.core.commands import shell_command, shipped_path
from fmnist.core.errors import InputError, one_line
from fmnist.core.runs import Run, check_name
from fmnist.core.yaml_files import as_written, read_yaml
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models import shipped_networks
from fmnist.models.classifier import Classifier
from fmnist.models.layers import check_logits
from fmnist.training import help_text
from fmnist.training.finished import load_initial_weights
from fmnist.training.messages import explain
from fmnist.training.precision import choose_precision
from fmnist.training.resume import check_goes_on, check_same_configuration, run_of_job, run_to_resume
from fmnist.training.teachers import learn_from_teachers
from fmnist.training.trainer_parts import PARTS, as_list, check_parts, flag_of, resolve_classes

TRAINER_DEFAULTS = {"max_epochs": 10, "logger": False, "num_sanity_val_steps": 0}
POSITIVE_TRAINER_FLAGS = (
    *("limit_train_batches", "limit_test_batches", "check_val_every_n_epoch"),
    *("accumulate_grad_batches", "log_every_n_steps"),
)


yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, member: dumper.represent_data(member.value))
_load_yaml = jsonargparse.get_loader("yaml")
jsonargparse.set_loader("yaml", lambda text: as_written(_load_yaml(text)), (yaml.YAMLError,))
for _part in ("train", "val", "test", "predict"):
    # Lightning's Union[int, float] may come out of typing's cache as Union[float, int]: 1 batch were all, 1.0
    Trainer.__init__.__annotations__[f"limit_{_part}_batches"] = int | float | None


@dataclass(frozen=True)
class Command:
    """A checked command line, and the objects that it describes.

    Attributes:
        line: The command, as ``run.json`` records it.
        config: The resolved configuration; ``config_yaml`` is the same, as ``config.yaml`` holds it.
        initial: What ``run.json`` records of the run whose weights training begins with.
        teachers: The same of each run that the model learns from.
        trainer_arguments: Of ``Trainer``; callbacks, loggers and plugins are built.
        resumed: The run to continue.
        earlier_end: Of a finished run that goes on, the flags that ended it, with their values then.
    """

    line: str
    config: jsonargparse.Namespace
    config_yaml: str
    model: Classifier
    data: FashionMNISTDataModule
    initial: dict[str, Any] | None
    teachers: list[dict[str, Any]] | None
    trainer_arguments: dict[str, Any]
    precision_reason: str
    resumed: Run | None
    earlier_end: dict[str, Any]


def parse(args: Sequence[str] | None) -> Command:
    """Parse the command line without the program, by default the process's own; build what it describes.

    Raises:
        InputError: A flag, a key or a value is wrong.
        SystemExit: Help or the resolved configuration was asked for, and has been printed.
    """
    args = list(sys.argv[1:] if args is None else args)
    args = [shipped_path(arg) if arg.endswith(".yaml") else arg for arg in args]
    shipped_networks()  # imported, they are known by their class names, too
    try:
        return _parse(args)
    except argparse.ArgumentError as error:
        raise InputError(explain(str(error))) from None
    except ValueError as error:  # jsonargparse wraps whatever a class raises
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__
        if cause is None and str(error).startswith("Does not validate"):
            group = re.search(r"Subtypes: .*?(lightning\.pytorch\.\w+)", str(error))
            keys = {module.__name__: f"trainer.{flag}" for flag, (module, _) in PARTS.items()}
            key = keys.get(group[1] if group else "", "model")
            raise InputError(explain(f'Parser key "{key}":\n{error}')) from None
        if "is not in bounds" in str(error):
            raise InputError(f"--seed_everything {error}") from None
        raise cause or error from None


def _parse(args: list[str]) -> Command:
    first = _first_flags(args)
    yamls = [_read_config(path) for path in first.config]
    if first.help or first.trainer_help:
        print(help_text.trainer_flags() if first.trainer_help else help_text.text(_model_name(first, yamls)))
        sys.exit(0)
    resumed = None if first.resume is None else run_to_resume(Path(first.resume))
    cli = TrainCLI(args if resumed is None else [*_config_of(resumed), *args])
    requeues = not any(plugin.get("init_args.auto_requeue") is False for plugin in _plugins(cli.config))
    if resumed is None and requeues:
        resumed = run_of_job(cli.config.logs, cli.config.name, shell_command("train", *args))
        if resumed is not None:  # with the precision that was chosen then, even if a YAML file has changed
            cli = TrainCLI([*args, *_config_of(resumed)])
    earlier_end: dict[str, Any] = {}
    if resumed is not None:
        before = cli.parser.parse_args(_config_of(resumed))
        now = yaml.safe_load(cli.dump())
        earlier_end = check_same_configuration(resumed, yaml.safe_load(cli.dump(before)), now)
        if first.resume is not None:
            check_goes_on(resumed, earlier_end, now)
            cli.config.resume = None  # the configuration is that of the run
    config = cli.config
    _check(config)
    root = config.trainer.default_root_dir
    if root is not None:
        raise InputError(f"--trainer.default_root_dir {root}: a run's folder lies in --logs; take that")
    precision_reason = "as asked" if resumed is None else "as when the run was started"
    is_in_plugins = any(plugin.class_path.endswith("Precision") for plugin in _plugins(config))
    if config.trainer.precision is None and not is_in_plugins:
        config.trainer.precision, precision_reason = choose_precision(device_type(config.trainer))
    resolve_classes(config.trainer)
    cli.build()
    check_logits(cli.model.network)
    photographs = config.data.photographs is not None and config.data.photograph_val > 0
    trainer_arguments = vars(cli.config_init.trainer)
    check_parts(trainer_arguments, config.trainer, cli.model, config.data.val_size, photographs)
    begins_afresh = resumed is None and config.init is not None
    initial = load_initial_weights(cli.model, config) if begins_afresh else None
    teachers = learn_from_teachers(cli.model, config, resumed)
    return Command(
        line=shell_command("train", *args),
        config=config,
        config_yaml=cli.dump(),
        model=cli.model,
        data=cli.datamodule,
        initial=initial,
        teachers=teachers,
        trainer_arguments=trainer_arguments,
        precision_reason=precision_reason,
        resumed=resumed,
        earlier_end=earlier_end,
    )


def _first_flags(args: list[str]) -> argparse.Namespace:
    """Return the flags that decide what the rest of the command line means."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    parser.add_argument("--resume")
    parser.add_argument("--model", "--model.class_path")
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("--trainer.help", action="store_true", dest="trainer_help")
    return parser.parse_known_args(args)[0]


class TrainCLI(LightningCLI):
    """Lightning's command line with the flags of a run; it parses, and seeds all generators."""

    def __init__(self, args: Sequence[str]) -> None:
        super().__init__(
            Classifier,
            FashionMNISTDataModule,
            subclass_mode_model=True,
            save_config_callback=None,
            trainer_defaults=TRAINER_DEFAULTS,
            parser_kwargs={"exit_on_error": False, "allow_abbrev": False},
            args=list(args),
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )
        self._refusal: InputError | None = None

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        for flag in help_text.RUN_FLAGS:
            parser.add_argument(f"--{flag.name}", type=flag.type, default=flag.default, help=flag.help)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.link_arguments("seed_everything", "data.seed")
        with warnings.catch_warnings():  # since jsonargparse 4.49; there is no other way before
            warnings.simplefilter("ignore", DeprecationWarning)
            for kind in itertools.chain.from_iterable(kinds for _, kinds in PARTS.values()):
                parser.add_instantiator(self._build_part, kind)

    def instantiate_classes(self) -> None:
        """Build nothing yet: the configuration is checked first."""

    def build(self) -> None:
        """Build ``model``, ``datamodule``, and the arguments of the trainer in ``config_init``.

        Raises:
            InputError: A part of the trainer cannot be built; its flag is named.
        """
        try:
            super().instantiate_classes()
        except Exception:
            if self._refusal is None:
                raise
            raise self._refusal from None

    def _build_part(self, kind: type, *args: Any, **kwargs: Any) -> Any:
        """Build a callback, logger, plugin and so on; keep what it objects to."""
        try:
            return kind(*args, **kwargs)
        except Exception as error:
            self._refusal = self._refusal or InputError(f"{flag_of(kind)}: {one_line(error)}")
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Leave the trainer to the session, which has callbacks for it."""

    def dump(self, config: jsonargparse.Namespace | None = None) -> str:
        """Return a configuration, by default the resolved one, as YAML.

        Raises:
            InputError: YAML cannot hold a value.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"\s*Unable to serialize")
            # by position: jsonargparse 4.49 renamed `skip_none`; off so that null overrides a default
            text = str(self.parser.dump(config or self.config, "yaml", False))
        if match := re.search(r"(\w+): Unable to serialize instance (.*)", text):
            raise InputError(f"--trainer: {match[1]} {match[2]}: cannot be kept in config.yaml; leave it out")
        return text


def _config_of(run: Run) -> list[str]:
    return ["--config", str(run.path / "config.yaml")]


def _read_config(path: str) -> dict[str, Any]:
    """Read a YAML file; jsonargparse would not name the file of a wrong one."""
    content = read_yaml(path, "trainer")
    if isinstance(content.get("data"), dict) and "seed" in content["data"]:  # would be ignored
        raise InputError(f"--config {path}: data.seed cannot be set apart, it is seed_everything")
    if content.get("resume") is not None:  # decides which YAML files are read
        raise InputError(f"--config {path}: resume must be a flag of the command line")
    return content


def _model_name(first: argparse.Namespace, yamls: list[dict[str, Any]]) -> str | None:
    """Return the class that a command line, or the last of its YAML files that does, names as the model."""
    models = [first.model, *(content.get("model") for content in reversed(yamls))]
    names = [model.get("class_path") if isinstance(model, dict) else model for model in models]
    return next((str(name) for name in names if name), None)


def _plugins(config: Any) -> list[jsonargparse.Namespace]:
    """Return the configuration of each of ``--trainer.plugins``; none of them is built yet."""
    return [part for part in as_list(config.trainer.plugins) if isinstance(part, jsonargparse.Namespace)]


def _check(config: Any) -> None:
    """Refuse what Lightning would report only after the run has started, or unclearly."""
    trainer, patience = config.trainer, config.early_stopping
    check_name(config.name)
    if patience is not None and patience < 1:
        raise InputError(f"--early_stopping {patience}: must be at least 1, or null for never")
    if patience is not None and (not config.data.val_size or trainer.limit_val_batches == 0):
        raise InputError(
            f"--early_stopping {patience}: needs a validation set, so --data.val_size and "
            "--trainer.limit_val_batches must be above 0"
        )
    if trainer.max_steps == 0:
        raise InputError("--trainer.max_steps 0: must be at least 1, or -1 for no limit")
    if trainer.max_epochs == 0 or (
        trainer.max_steps == -1
        and (trainer.max_epochs == -1 or (trainer.max_epochs is None and trainer.max_time is not None))
    ):
        raise InputError(
            f"--trainer.max_epochs {trainer.max_epochs}: must be at least 1, or -1 with --trainer.max_steps, "
            "as the schedule needs an end"
        )
    for flag in POSITIVE_TRAINER_FLAGS:
        if trainer[flag] is not None and trainer[flag] <= 0:
            raise InputError(f"--trainer.{flag} {trainer[flag]}: must be above 0")
    if trainer.gradient_clip_val is not None and trainer.gradient_clip_val < 0:
        raise InputError(f"--trainer.gradient_clip_val {trainer.gradient_clip_val}: must be 0 or above")
    for flag, refused in (("enable_checkpointing", False), ("barebones", True)):
        if trainer[flag] is refused:
            raise InputError(f"--trainer.{flag} {refused}: a run must leave checkpoints and metrics")
    if re.fullmatch(r"0|-(?!1$)\d+", str(trainer.devices)):
        raise InputError(f"--trainer.devices {trainer.devices}: must be at least 1, or auto for all")
    if trainer.accelerator == "gpu" and device_type(trainer) == "cpu":
        raise InputError(
            "--trainer.accelerator gpu: there is no GPU here that PyTorch can use; take cpu or auto"
        )


def device_type(trainer: Any) -> str:
    """Return ``cuda``, ``mps`` or ``cpu`` for what ``--trainer.accelerator`` holds."""
    if trainer.accelerator in ("auto", "gpu"):
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    name = str(trainer.accelerator).lower()  # or that of a class, such as CPUAccelerator
    return next((kind for kind in ("cuda", "mps", "cpu") if kind in name), name)
