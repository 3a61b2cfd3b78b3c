"""The command line of a training: Lightning's own, with names for runs and readable errors."""

import argparse
import difflib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from fmnist.core.errors import InputError
from fmnist.core.runs import Run, check_name
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models.classifier import Classifier
from fmnist.training.callbacks import EMA, EpochClock, EpochLines, StopAtNonFiniteLoss
from fmnist.training.checkpoints import AtomicCheckpointIO, LastCheckpoint
from fmnist.training.precision import choose_precision
from fmnist.training.requeue import requeue_is_off, requeue_on
from fmnist.training.resume import check_same, command_line, run_of_job, run_to_resume
from fmnist.training.stops import StopSignals

TRAINER_DEFAULTS = {
    "max_epochs": 10,
    "logger": False,
    "num_sanity_val_steps": 0,
    "enable_model_summary": False,
}


class TrainCLI(LightningCLI):
    """Lightning's command line with a run's name and folder, EMA, early stopping, and chosen precision."""

    def __init__(self, args: list[str] | None = None, resumed: Run | None = None) -> None:
        self.resumed = resumed
        super().__init__(
            Classifier,
            FashionMNISTDataModule,
            subclass_mode_model=True,
            save_config_callback=None,
            trainer_defaults=TRAINER_DEFAULTS,
            parser_kwargs={"exit_on_error": False, "allow_abbrev": False, "description": __doc__},
            args=args,
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--seed_everything", type=int, default=0, help="Seed of weights, order and augmentation."
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--name", type=str, default="run", help="Name of the run: its folder is LOGS/NAME/VERSION."
        )
        parser.add_argument("--logs", type=str, default="logs", help="Folder of all runs.")
        parser.add_argument(
            "--ema",
            type=float | None,
            default=None,
            help="Decay of the moving average of the weights; null for none.",
        )
        parser.add_argument(
            "--early_stopping", type=int | None, default=None,
            help="Stop after so many validations without a better val/accuracy; null never does.",
        )  # fmt: skip
        parser.add_argument(
            "--checkpoint_minutes", type=float, default=10.0,
            help="Minutes between two writings of last.ckpt within an epoch.",
        )  # fmt: skip
        parser.add_argument(
            "--resume", type=str | None, default=None,
            help="Go on with a run that was stopped, in its folder RUN, exactly as if it had not been.",
        )  # fmt: skip
        parser.link_arguments("seed_everything", "data.seed")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        if self.resumed is None and not requeue_is_off(self.config.trainer.plugins):
            self.resumed = run_of_job(self.config.logs, self.config.name, command_line(args))
            if self.resumed is not None:  # what it was begun with holds, precision and later edits included
                begun = ["--config", str(self.resumed.path / "config.yaml")]
                super().parse_arguments(parser, [*(sys.argv[1:] if args is None else args), *begun])

    def before_instantiate_classes(self) -> None:
        config = self.config
        check_name(config.name)
        if self.resumed is not None:
            begun = self.parser.parse_args(["--config", str(self.resumed.path / "config.yaml")])
            check_same(self.resumed, self._plain(begun), self._plain(config))
        _check_early_stopping(config)
        _check_trainer(config.trainer)
        self.precision_reason = "as asked"
        if config.trainer.precision is None:
            accelerator = _resolved_accelerator(config.trainer.accelerator)
            config.trainer.precision, self.precision_reason = choose_precision(accelerator)

    def _plain(self, config: Any) -> dict[str, Any]:
        return yaml.safe_load(self.parser.dump(config, "yaml", False))

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config = self.config
        self.clock, self.stops = EpochClock(), StopSignals()
        self.last = LastCheckpoint(config.checkpoint_minutes, self.stops)
        callbacks: list[Any] = [StopAtNonFiniteLoss(), self.clock, EpochLines()]
        if config.ema is not None:
            callbacks.append(EMA(config.ema))
        if config.early_stopping is not None:
            callbacks.append(EarlyStopping("val/accuracy", mode="max", patience=config.early_stopping))
        naming: dict[str, Any] = {"auto_insert_metric_name": False, "enable_version_counter": False}
        best: dict[str, Any] = {"monitor": "val/accuracy", "mode": "max"} if config.data.val_size else {}
        self.checkpoint = ModelCheckpoint(filename="best", **best, **naming)
        callbacks += [self.checkpoint, self.last]  # in this order, so that the last one knows of the best
        bar = config.trainer.enable_progress_bar is not False and sys.stdout.isatty()
        if bar:
            callbacks.append(TQDMProgressBar(refresh_rate=20))  # each refresh waits for the device
        users = self.config_init.trainer.callbacks or []
        try:
            trainer = super().instantiate_trainer(
                callbacks=[*(users if isinstance(users, list) else [users]), *callbacks],
                enable_progress_bar=bar,
                default_root_dir=config.trainer.default_root_dir or config.logs,  # no foreign hpc_ckpt there
                **kwargs,
            )
        except (MisconfigurationException, ImportError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(f"--trainer: {' '.join(str(error).split())}") from None
        trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        # where Lightning's own handler finds it; the strategy of a single process has none
        self.stops.requeue = requeue_on(trainer._accelerator_connector.cluster_environment)
        return trainer


def _check_early_stopping(config: Any) -> None:
    patience = config.early_stopping
    if patience is None:
        return
    if patience < 1:
        raise InputError(f"--early_stopping {patience}: must be at least 1, or null for never")
    if not config.data.val_size or config.trainer.limit_val_batches == 0:
        raise InputError(
            f"--early_stopping {patience}: needs a validation set, so --data.val_size and "
            "--trainer.limit_val_batches must be above 0"
        )


def _check_trainer(trainer: Any) -> None:
    """Refuse what Lightning would only notice after the run has begun, or say unclearly."""
    if trainer.max_steps == 0:
        raise InputError("--trainer.max_steps 0: must be at least 1, or -1 for no limit")
    if trainer.max_epochs == 0 or (trainer.max_epochs == -1 and trainer.max_steps == -1):
        raise InputError(
            f"--trainer.max_epochs {trainer.max_epochs}: must be at least 1, or -1 with --trainer.max_steps, "
            "as the schedule needs an end"
        )
    for flag in (
        *("limit_train_batches", "limit_test_batches"),
        *("check_val_every_n_epoch", "accumulate_grad_batches", "log_every_n_steps"),
    ):
        if trainer[flag] == 0:
            raise InputError(f"--trainer.{flag} 0: must be above 0")
    for flag in ("enable_checkpointing", "barebones"):
        if trainer[flag] is (flag == "barebones"):
            raise InputError(f"--trainer.{flag} {trainer[flag]}: a run must leave checkpoints and metrics")
    if re.fullmatch(r"0|-(?!1$)\d+", str(trainer.devices)):
        raise InputError(f"--trainer.devices {trainer.devices}: must be at least 1, or auto for all")
    if trainer.accelerator == "gpu" and _resolved_accelerator("gpu") == "cpu":
        raise InputError(
            "--trainer.accelerator gpu: there is no GPU here that PyTorch can use; take cpu or auto"
        )


def _resolved_accelerator(name: Any) -> str:
    """Return ``cuda``, ``mps`` or ``cpu`` for what ``--trainer.accelerator`` may hold."""
    if name in ("auto", "gpu"):
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    return str(name)


def configure(args: list[str] | None) -> TrainCLI:
    """Parse the command line and build model, data and trainer.

    Args:
        args: The command line without the program; ``None`` takes the process's own.

    Raises:
        InputError: A flag, a key or a value is wrong.
    """
    try:
        _check_configs(args)
        resumed, rest = run_to_resume(args)
        return TrainCLI(rest, resumed)
    except argparse.ArgumentError as error:
        raise InputError(explain(str(error))) from None
    except ValueError as error:  # jsonargparse wraps whatever a class raises
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__
        if cause is None and str(error).startswith("Does not validate"):
            raise InputError(explain(f'Parser key "model":\n{error}')) from None
        if "is not in bounds" in str(error):
            raise InputError(f"--seed_everything {error}") from None
        raise cause or error from None


def _check_configs(args: list[str] | None) -> None:
    """Refuse what is no YAML of keys, because jsonargparse would not name the file.

    Raises:
        InputError: A file is missing or is none.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", default=[])
    for path in parser.parse_known_args(args)[0].config:
        try:
            content = yaml.safe_load(Path(path).read_text())
        except OSError as error:
            raise InputError(f"--config {path}: cannot be read ({error.strerror})") from None
        except (ValueError, yaml.YAMLError) as error:
            raise InputError(f"--config {path}: is no YAML ({' '.join(str(error).split())})") from None
        if not isinstance(content, dict):
            raise InputError(f"--config {path}: must hold keys like 'trainer:', holds {content!r:.40}")
        if isinstance(content.get("data"), dict) and "seed" in content["data"]:  # would be ignored
            raise InputError(f"--config {path}: data.seed cannot be set apart, it is seed_everything")


def explain(message: str) -> str:
    """Condense jsonargparse's account of a wrong flag, which names every type it tried, to a line."""
    if match := re.match(r"unrecognized arguments: (\S+)", message):
        return _unknown(match[1])
    if match := re.match(r"Group '(\w+)' does not accept option '(\w+)'", message):
        return _unknown(f"--{match[1]}.{match[2]}")
    if match := re.search(r"Option '(\w+)' is not accepted", message):
        model = re.search(r"class_path '[\w.]*?(\w+)'", message)
        return _unknown(f"--{match[1]}" if match.start() == 0 else f"--model.{match[1]}", model and model[1])
    if match := re.match(r"the following arguments are required: (\S+)", message):
        return f"--{match[1]}: is required; --config configs/cnn.yaml has one"
    if match := re.match(r"argument (--\S+): (.*)", message):
        return f"{match[1]}: {match[2]}"
    if match := re.match(r'Linked "(\S+)" must be given via "(\S+)"', message):
        return f"--{match[1]}: cannot be set apart, it is --{match[2]}"
    flag = "--" + ".".join(dict.fromkeys(re.findall(r'Parser key "([\w.]+)"', message)))
    value = re.search(r"(?:Got|Given) value: (?!NestedArg|Namespace|{)(.*)", message)
    choices = re.findall(r"Expected a typing\.Literal\[(.*?)\]", message)
    types = re.findall(r"Expected a <class '(?!NoneType)(.*?)'>", message)
    if choices:
        names = ", ".join(choices).replace("'", "").split(", ")
        reasons = [f"must be one of {', '.join(dict.fromkeys(names))}"]
    elif types:
        reasons = [f"must be {' or '.join(types)}"]
    else:
        lines = [re.sub(r'^Parser key "[\w.]+": ?', "", line.strip(" -")) for line in message.splitlines()]
        reasons = [line for line in lines if line and not line.startswith(_BOILERPLATE)]
    return f"{flag}{' ' + value[1] if value else ''}: {'; '.join(reasons)}"


_BOILERPLATE = (
    "Does not validate",
    "Subtypes:",
    "Errors:",
    "Given value",
    "Problem with given",
    "Expected a path",
    "Expected a <class 'NoneType'>",
)


def _unknown(flag: str, model: str | None = None) -> str:
    close = difflib.get_close_matches(flag.lstrip("-").partition("=")[0], _flags(model), n=1)
    return f"{flag}: no such flag" + (f"; did you mean --{close[0]}?" if close else " (--help lists them)")


def _flags(model: str | None) -> list[str]:
    """Return all flags; of the models, those of the one that is named, or of all that are imported."""
    groups: dict[str, list[Any]] = {
        "model": [Classifier, *(c for c in Classifier.__subclasses__() if model in (None, c.__name__))],
        "data": [FashionMNISTDataModule],
        "trainer": [Trainer],
    }
    nested = [
        f"{group}.{name}"
        for group, kinds in groups.items()
        for kind in kinds
        for name in inspect.signature(kind).parameters
        if name not in ("network", "training", "callbacks")
    ]
    own = ["config", "name", "logs", "ema", "early_stopping", "checkpoint_minutes", "resume"]
    return [*own, "seed_everything", *nested]
