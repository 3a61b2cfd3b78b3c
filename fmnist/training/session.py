"""One training: its trainer with callbacks and loggers, its run folder, and how it ends."""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelSummary,
    ProgressBar,
    Timer,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException

from fmnist.core.commands import shell_command
from fmnist.core.constants import CLASSES
from fmnist.core.environment import environment
from fmnist.core.errors import SIGTERM_STATUS, InputError, is_unwritable, one_line, quoted, reports_unwritable
from fmnist.core.files import write_file
from fmnist.core.runs import Run
from fmnist.core.tables import counted
from fmnist.models.layers import memory_format, multiply_adds, parameter_count
from fmnist.models.loading import read_checkpoint
from fmnist.pictures.labelled import FOREIGN
from fmnist.training import outputs
from fmnist.training.callbacks import EMA, Ending, EpochClock, EpochLines, StopAtNonFiniteLoss
from fmnist.training.checkpoints import (
    BEST,
    LAST,
    AtomicCheckpointIO,
    BestCheckpoint,
    LastCheckpoint,
    restore_last,
)
from fmnist.training.command_line import Command
from fmnist.training.epoch_table import EpochTable, read_rows
from fmnist.training.finished import reference_name, validation_warnings
from fmnist.training.resume import check_same_data, check_same_photographs, warn_of_other_versions
from fmnist.training.signals import StopSignals, job_id, slurm_environment
from fmnist.training.teachers import teacher_line
from fmnist.training.threads import yields
from fmnist.training.trainer_parts import as_list, raised_by_lightning, trainer_error

LEFT_OUT_NAMED = 3  # photographs that could not be prepared


class Session:
    """A training with everything that belongs to it.

    Attributes:
        command: The checked command line.
        signals: To be entered around the training.
        loggers: Those that the user named, beside the run's own.

    Raises:
        InputError: Lightning refuses the trainer's arguments.
    """

    def __init__(self, command: Command) -> None:
        config, arguments = command.config, command.trainer_arguments
        self.command = command
        self._multiply_adds = multiply_adds(command.model.network)
        self.clock, self.ending = EpochClock(), Ending()
        self.best = BestCheckpoint("val/accuracy" if config.data.val_size else None)
        self.loggers = [part for part in as_list(arguments["logger"]) if isinstance(part, Logger)]
        theirs, plugins = as_list(arguments["callbacks"]), as_list(arguments["plugins"])
        show_bar, show_summary = config.trainer.enable_progress_bar, config.trainer.enable_model_summary
        own_bar = any(isinstance(part, ProgressBar) for part in theirs)
        if show_bar is None:
            show_bar = own_bar or sys.stdout.isatty()
        if show_summary is None:
            show_summary = any(isinstance(part, ModelSummary) for part in theirs)
        try:
            self.signals = StopSignals(slurm_environment(plugins))
            changed = {
                "callbacks": [*theirs, *self._callbacks(show_bar and not own_bar)],
                "logger": self.loggers,
                "enable_progress_bar": show_bar,
                "enable_model_summary": show_summary,
                "plugins": [*plugins, AtomicCheckpointIO()],
                "max_time": None,  # among the callbacks, before those that it concerns
                # Lightning loads checkpoints that it finds there
                "default_root_dir": config.logs,
            }
            self.trainer = Trainer(**{**arguments, **changed})
        except KeyError as error:
            names = " ".join(type(plugin).__name__ for plugin in plugins)
            raise InputError(f"--trainer.plugins {names}: needs the environment variable {error}") from None
        except (MisconfigurationException, ImportError, RuntimeError, TypeError, ValueError) as error:
            raise trainer_error(error, config.trainer) from None

    def _callbacks(self, show_bar: bool) -> list[Callback]:
        """Return the callbacks of every training; the last one must know of the best checkpoint."""
        config = self.command.config
        callbacks: list[Callback] = [StopAtNonFiniteLoss(), self.clock, EpochLines()]
        if (max_time := self.command.trainer_arguments["max_time"]) is not None:
            try:
                callbacks.append(timer := Timer(max_time))
            except (TypeError, ValueError, MisconfigurationException) as error:
                raise InputError(f"--trainer.max_time {max_time}: {one_line(error)}") from None
            if not (timer.time_remaining() or 0) > 0:
                raise InputError(f"--trainer.max_time {max_time}: must be above 0")
        callbacks.append(self.ending)
        if config.ema is not None:
            callbacks.append(EMA(config.ema))
        if config.early_stopping is not None:
            callbacks.append(EarlyStopping("val/accuracy", mode="max", patience=config.early_stopping))
        callbacks += [self.best, LastCheckpoint(config.checkpoint_minutes, self.signals, self.ending)]
        if show_bar:
            callbacks.append(TQDMProgressBar(refresh_rate=20))  # each refresh waits for the device
        return callbacks

    @contextlib.contextmanager
    def run_folder(self) -> Iterator[Run | None]:
        """Create or reopen the run's folder for the training in the block, and record how that ends.

        Yields:
            The run, new or resumed, on the main process; ``None`` on the others.

        Raises:
            InputError: The folder cannot be written, is in use, or does not belong to this data.
        """
        resumed, data = self.command.resumed, self.command.data
        if resumed is not None:
            check_same_data(resumed, data.data.sha256, data.split)
            if data.photographs is not None:
                check_same_photographs(resumed, data.photograph_folder, data.photograph_record)
        run = None
        if self.trainer.is_global_zero:
            run = self._create_run() if resumed is None else resumed
        with contextlib.nullcontext() if run is None else run.locked():
            rows = {}
            if run is not None and resumed is not None:
                rows = _reopen(run, self.command.earlier_end)
            try:
                if run is not None:
                    config = self.command.config
                    if resumed is None or self.command.earlier_end or _differs(resumed, config):
                        write_file(run.path / "config.yaml", self.command.config_yaml)
                    self._open_loggers(run, rows)
                    self._announce(run)
                yield run
            except BaseException as error:
                if run is not None:
                    self._record_failure(run, error)
                for_user = self._for_user(error)
                if for_user is error:
                    raise
                raise for_user from None

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint that training continues from; the main process restores it before all load it."""
        resumed = self.command.resumed
        return None if resumed is None else resumed.path / "checkpoints" / LAST

    def finish(self, run: Run) -> None:
        """Mark the run finished, or stopped where its time was up, so that it can go on."""
        cut_short = self.ending.ended_by == "max_time"
        run.finish("stopped" if cut_short else "finished", ended_by=self.ending.ended_by, **self._progress())
        if cut_short:
            print(f"to continue: {shell_command('train', '--resume', str(run.path))}")

    def how_it_ended(self) -> str:
        """Return what ended training, in words."""
        by, trainer = self.ending.ended_by, self.command.config.trainer
        value = self.command.config.early_stopping if by == "early_stopping" else trainer.get(by or "")
        words = f"ended by {by}" + (f" {value}" if value is not None else "")
        if by != "max_epochs" and (trainer.max_epochs or -1) > 0:
            words += f" in epoch {self.clock.epochs} of {trainer.max_epochs}"
        return words

    def load_best(self) -> None:
        """Give the model the weights of the best epoch, or of the last if none was validated."""
        if self.best.dirpath is None:
            return
        best = Path(self.best.best_model_path or Path(self.best.dirpath) / LAST)
        if best.exists():  # a fast_dev_run keeps none
            self.command.model.load_state_dict(read_checkpoint(best)["state_dict"])
        if not self.best.best_model_path:
            self.trainer.save_checkpoint(Path(self.best.dirpath) / BEST)

    def log_results(self, metrics: dict[str, Any]) -> None:
        """Send the metrics of the best epoch, as in ``run.json``, to the loggers that the user named."""
        values = {f"final/{part}_accuracy": found["accuracy"] for part, found in metrics.items()}
        tested = metrics.get("test", {})
        values |= {f"test/{name}": value for name, value in tested.items() if isinstance(value, int | float)}
        for logger in self.loggers:
            logger.log_metrics(values, self.trainer.global_step)
            logger.finalize("success")

    def _create_run(self) -> Run:
        """Make the run folder, and record in it what is known before training."""
        command, config = self.command, self.command.config
        recorded = environment()
        recorded["hardware"] |= {
            "device": _device_name(self.trainer.strategy.root_device),
            "processes": self.trainer.world_size,
            "threads": torch.get_num_threads(),
        }
        return Run.create(
            config.logs,
            config.name,
            kind="lightning",
            command=command.line,
            slurm_job=job_id(),
            seed=config.seed_everything,
            **recorded,
            data_sha256=command.data.data.sha256,
            split=command.data.split,
            photographs=command.data.photograph_record,
            init=command.initial,
            teachers=command.teachers,
            classes=list(CLASSES),
            parameters=parameter_count(command.model.network),
            multiply_adds=self._multiply_adds,
            precision=self.trainer.precision,
            flip_average=config.model.init_args.flip_average,
            train_seconds=None,
            training_multiply_adds=None,
            epochs=None,
            steps=None,
            metrics={},
            ended_by=None,
            error=None,
        )

    def _open_loggers(self, run: Run, rows: dict[int, dict[str, Any]]) -> None:
        """Log to TensorBoard and ``metrics.csv`` in the run folder.

        A resumed run logs again what it had logged after its checkpoint was written; ``rows`` are those of
        its ``metrics.csv`` so far, by epoch.
        """
        logged: dict[str, Any] = {}
        if self.checkpoint is not None:
            checkpoint = read_checkpoint(self.checkpoint)
            logged = checkpoint["callbacks"]["LastCheckpoint"]
            epochs = checkpoint["epoch"] + bool(logged.get("metrics"))  # that are done
            # a later row is of before the checkpoint, or of an end within the epoch that is undone
            rows = {
                epoch: row for epoch, row in rows.items() if epoch < epochs or row["step"] < logged["step"]
            }
        board = TensorBoardLogger(
            run.path.parent.parent,
            name=run.path.parent.name,
            version=run.path.name,
            default_hp_metric=False,
            purge_step=logged.get("step"),
        )
        self.trainer.loggers = [board, EpochTable(run.path / "metrics.csv", rows), *self.trainer.loggers]
        for part in ("learning_rate", "metrics"):  # of the end of the epoch; the run may have ended before
            if logged.get(part):
                for logger in self.trainer.loggers:
                    logger.log_metrics(logged[part], logged["step"])
        for logger in self.loggers:
            logger.log_hyperparams(outputs.hyperparameters(run.config, self.command.model, self.command.data))
        outputs.add_curve_charts(board.experiment)

    def _announce(self, run: Run) -> None:
        """Print what is trained, on what, and of what it begins or learns."""
        network, split = self.command.model.network, self.command.data.split
        layout = ", channels last" * (memory_format(network) == torch.channels_last)
        yielding = " that yield to other programs" if yields() else ""
        initial, photographs = run.record.get("init"), run.record.get("photographs")
        if initial is not None:
            print(f"begins with the weights of {reference_name(initial)}")
        teachers = self.command.teachers or []
        if teachers:
            print(teacher_line(teachers, run.config))
        built_on = [each for each in [*teachers, initial] if each]
        for warning in validation_warnings(built_on, self.command.data.data.sha256, split):
            print(warning, file=sys.stderr)
        print(
            f"{type(network).__name__}, {counted(parameter_count(network), 'parameter')}, on "
            f"{self.trainer.world_size} x {self.trainer.strategy.root_device.type}, "
            f"{counted(torch.get_num_threads(), 'thread')}{yielding}, "
            f"{self.trainer.precision} ({self.command.precision_reason}){layout}\n"
            f"{split['train']:,} training and {counted(split['val'], 'validation image')}; "
            f"run folder {quoted(run.path)}"
        )
        if photographs is not None:
            print(_photographs_line(photographs, self.command.data.batch_size))

    def _progress(self) -> dict[str, Any]:
        clock = self.clock
        taught = sum(teacher["multiply_adds"] for teacher in self.command.teachers or [])
        return {
            "epochs": clock.epochs,
            "steps": self.trainer.global_step,
            "train_seconds": round(clock.seconds, 2),
            # the backward pass costs two forward passes; teachers have none
            "training_multiply_adds": clock.images * (3 * self._multiply_adds + taught),
        }

    def _record_failure(self, run: Run, error: BaseException) -> None:
        """Record in the run that it stopped or failed, if the disk allows, and print how to continue."""
        stopped = isinstance(error, KeyboardInterrupt | SystemExit)
        # none yet, where a resumed run fails before Lightning has restored its checkpoint
        progress = self._progress() if self.trainer.global_step else {}
        with contextlib.suppress(OSError):
            run.finish("stopped" if stopped else "failed", self._for_user(error), **progress)
        queued_again = self.signals.requeue is not None and self.signals.requeue.granted
        can_continue = (stopped or is_unwritable(error)) and (run.path / "checkpoints" / LAST).exists()
        if can_continue and not queued_again:
            print(
                f"stopped; to continue: {shell_command('train', '--resume', str(run.path))}", file=sys.stderr
            )

    def _for_user(self, error: BaseException) -> BaseException:
        """Return the exception that the program ends with."""
        if isinstance(error, SystemExit):  # Lightning ends a fit with SystemExit(1) after Ctrl-C
            terminated = isinstance(error, SIGTERMException) or error.code == SIGTERM_STATUS
            return SystemExit(SIGTERM_STATUS) if terminated else KeyboardInterrupt()
        if isinstance(error, MisconfigurationException) or raised_by_lightning(error):
            return trainer_error(error, self.command.config.trainer)
        if is_unwritable(error):
            resumed = self.command.resumed
            folder = Path(self.command.config.logs) if resumed is None else resumed.path
            return InputError(
                f"{'--logs' if resumed is None else '--resume'} {quoted(folder)}: cannot be written "
                f"({error.strerror}: {quoted(error.filename or folder)}); "
                f"{shutil.disk_usage(folder).free:,} bytes are free there"
            )
        return error


def _photographs_line(photographs: dict[str, Any], batch_size: int) -> str:
    """Return in words which photographs are added to the training images, and which are left out."""
    counts, answers = photographs["counts"], photographs["answers"]
    train = sum(count["train"] for count in counts.values())
    val = sum(count["val"] for folder, count in counts.items() if answers[folder] != FOREIGN)
    line = (
        f"{counted(train, 'training photograph')}, {photographs['per_batch']} of {batch_size} images a "
        f"batch, and {val:,} of known garments for validation"
    )
    if left_out := photographs["left_out"]:
        named = ", ".join(
            f"{quoted(file)} ({reason})" for file, reason in list(left_out.items())[:LEFT_OUT_NAMED]
        )
        more = ", ..." * (len(left_out) > LEFT_OUT_NAMED)
        line += f"; {len(left_out):,} left out: {named}{more}"
    if folders := photographs["left_out_folders"]:
        line += f"; subfolders left out: {', '.join(map(quoted, folders))}"
    return line


def _differs(resumed: Run, config: Any) -> bool:
    """Tell whether a run is resumed with another time limit, or is to be tested after all."""
    limit = (resumed.config.get("trainer") or {}).get("max_time")
    return bool(resumed.is_tested != config.test or limit != config.trainer.max_time)


def _reopen(run: Run, earlier_end: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Restore the last checkpoint of a run and mark the run as running again.

    Returns:
        The rows of its ``metrics.csv``, by epoch.
    """
    rows = read_rows(run.path / "metrics.csv")  # refuses a damaged file before anything is changed
    warn_of_other_versions(run, environment()["versions"])
    if earlier_end:
        print("from now on with the schedule of the new length; a run with it from the start would differ")
    resumed = run.record.get("resumed", 0) + 1
    with reports_unwritable(f"--resume {quoted(run.path)}"):
        restore_last(run.path / "checkpoints", bool(earlier_end))
        run.remove_derived()
        ends = {"earlier_ends": [*run.record.get("earlier_ends", []), earlier_end]} if earlier_end else {}
        run.update(status="running", finished=None, ended_by=None, error=None, resumed=resumed, **ends)
    return rows


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
