"""What ``scripts/train.py`` does: configure, fit, test the best checkpoint, leave a run folder."""

import contextlib
import errno
import logging
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from fmnist.core.constants import CLASSES
from fmnist.core.environment import environment
from fmnist.core.errors import SIGTERM_STATUS, InputError, exits_cleanly
from fmnist.core.files import write_file
from fmnist.core.runs import Predictions, Run
from fmnist.models.layers import multiply_adds, parameter_count
from fmnist.models.loading import read_checkpoint
from fmnist.models.metrics import plain_metrics
from fmnist.training import report
from fmnist.training.checkpoints import LAST, restore_last
from fmnist.training.cli import TrainCLI, configure
from fmnist.training.requeue import job_id
from fmnist.training.resume import check_record, command_line
from fmnist.training.table import EpochTable

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


@exits_cleanly
def main(args: list[str] | None = None) -> Run | None:
    """Train a network as the command line says.

    Args:
        args: The command line without the program; ``None`` takes the process's own.

    Returns:
        The finished run, on the main process.
    """
    _quieten()
    torch.set_flush_denormal(True)  # weights that decay to nothing would slow a processor down
    cli = configure(args)
    if cli.resumed and cli.resumed.record["status"] == "finished":
        if not cli.trainer.is_global_zero:
            return None
        print(f"{cli.resumed.path}: was finished by this job before it was queued again")
        return cli.resumed
    with cli.stops:
        cli.datamodule.prepare_data()
        cli.datamodule.setup()
        cli.datamodule.check_processes(cli.trainer.world_size)
        run = cli.resumed if cli.resumed and cli.trainer.is_global_zero else _create_run(cli, args)
        with _lock(run):
            return _train(cli, run, _resume(cli) if cli.resumed else None)


@contextlib.contextmanager
def _lock(run: Run | None) -> Iterator[None]:
    """Keep other processes from training in the same folder; the lock ends with this one, however it ends."""
    if run is None:
        yield
        return
    lock = FileLock(run.path / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{run.path}: is being trained by another process") from None
    except OSError as error:
        raise InputError(
            f"{run.path}: cannot be written ({error.strerror}); copy it to where it can"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _resume(cli: TrainCLI) -> Path:
    """Return the checkpoint to go on from, made whole, and the run marked, by the main process.

    The others load it once all have met, so all of them load the same.
    """
    run: Any = cli.resumed
    made_with = environment()
    check_record(run, cli.datamodule.data.sha256, cli.datamodule.split, made_with["versions"])
    checkpoint = run.path / "checkpoints" / LAST
    if cli.trainer.is_global_zero:
        try:
            restore_last(checkpoint.parent)
            run.update(status="running", finished=None, resumed=run.record.get("resumed", 0) + 1)
        except OSError as error:
            raise InputError(f"--resume {run.path}: cannot be written ({error.strerror})") from None
    return checkpoint


def _train(cli: TrainCLI, run: Run | None, checkpoint: Path | None) -> Run | None:
    """Fit and evaluate; a stop or a failure is recorded in the run."""
    try:
        if run is not None:
            _log_to(run, cli, checkpoint)
        cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=checkpoint, weights_only=True)
        _evaluate(cli, run)
    except SystemExit as stop:
        _finish(cli, run, "stopped")
        if not (cli.stops.requeue and cli.stops.requeue.granted):
            _tell_how_to_resume(run)
        if isinstance(stop, SIGTERMException) or stop.code == SIGTERM_STATUS:
            sys.exit(SIGTERM_STATUS)
        raise KeyboardInterrupt from None  # Lightning ends a fit with SystemExit(1) after Ctrl-C
    except BaseException as error:
        _finish(cli, run, "stopped" if isinstance(error, KeyboardInterrupt) else "failed")
        if isinstance(error, KeyboardInterrupt):
            _tell_how_to_resume(run)
        if isinstance(error, MisconfigurationException):
            raise InputError(f"--trainer: {' '.join(str(error).split())}") from None
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            _tell_how_to_resume(run)
            raise _unwritable(error, cli, run) from None
        raise
    return run


def _unwritable(error: OSError, cli: TrainCLI, run: Run | None) -> InputError:
    """Say what could not be written where, and how much room there is."""
    logs = Path(cli.config.logs)
    where = error.filename or (logs if run is None else run.path)
    free = shutil.disk_usage(logs).free
    return InputError(
        f"--logs {logs}: cannot be written ({error.strerror}: {where}); {free:,} bytes are free there"
    )


def _tell_how_to_resume(run: Run | None) -> None:
    if run is not None and (run.path / "checkpoints" / LAST).exists():
        print(f"stopped; to go on: python scripts/train.py --resume {run.path}", file=sys.stderr)


def _create_run(cli: TrainCLI, args: list[str] | None) -> Run | None:
    """Make the run folder, on the main process, and record what is known before training."""
    if not cli.trainer.is_global_zero:
        return None
    data, model, config = cli.datamodule, cli.model, cli.config
    made_with = environment()
    made_with["hardware"] |= {
        "device": _device_name(cli.trainer.strategy.root_device),
        "processes": cli.trainer.world_size,
        "threads": torch.get_num_threads(),
    }
    return Run.create(
        config.logs,
        config.name,
        kind="lightning",
        command=command_line(args),
        slurm_job=job_id(),
        seed=config.seed_everything,
        **made_with,
        data_sha256=data.data.sha256,
        split=data.split,
        classes=list(CLASSES),
        parameters=parameter_count(model.network),
        multiply_adds=multiply_adds(model.network),
        precision=config.trainer.precision,
        flip_average=config.model.init_args.flip_average,
        train_seconds=None,
        epochs=None,
        metrics={},
    )


def _log_to(run: Run, cli: TrainCLI, checkpoint: Path | None) -> None:
    """Write the configuration into the run folder, and point loggers and checkpoints at it."""
    data, model, config = cli.datamodule, cli.model, cli.config
    logged: dict[str, Any] = {}
    if checkpoint is None:
        # by position: jsonargparse 4.49 renamed `skip_none`; it must be off so that null overrides a default
        write_file(run.path / "config.yaml", cli.parser.dump(config, "yaml", False))
    else:
        logged = read_checkpoint(checkpoint)["callbacks"]["LastCheckpoint"]
    cli.last.folder = run.path / "checkpoints"
    board = TensorBoardLogger(
        run.path.parent.parent,
        name=run.path.parent.name,
        version=run.path.name,
        default_hp_metric=False,
        purge_step=logged.get("step"),  # what was logged after the checkpoint will be logged again
    )
    cli.trainer.loggers = [board, EpochTable(run.path / "metrics.csv"), *cli.trainer.loggers]
    if logged.get("metrics"):  # of the epoch that the checkpoint ends, should the run have ended before
        board.log_metrics(logged["learning_rate"], logged["step"])
        for logger in cli.trainer.loggers:
            logger.log_metrics(logged["metrics"], logged["step"])
    report.add_curve_charts(board.experiment)
    devices = f"{cli.trainer.world_size} x {cli.trainer.strategy.root_device.type}"
    print(
        f"{type(model.network).__name__}, {parameter_count(model.network):,} parameters, on {devices}, "
        f"{torch.get_num_threads()} threads, "
        f"{config.trainer.precision} ({cli.precision_reason}), channels last\n"
        f"{data.split['train']:,} training and {data.split['val']:,} validation images; run folder {run.path}"
    )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _evaluate(cli: TrainCLI, run: Run | None) -> None:
    """Score the best checkpoint on validation and test; leave predictions, figures, TensorBoard pages."""
    trainer, model, data = cli.trainer, cli.model, cli.datamodule
    trainer.loggers = []  # the curves end with training
    best = cli.checkpoint.best_model_path
    if best:
        model.load_state_dict(read_checkpoint(Path(best))["state_dict"])
    elif cli.checkpoint.dirpath:  # it never came to a validation; a fast_dev_run saves nothing
        trainer.save_checkpoint(Path(cli.checkpoint.dirpath) / "best.ckpt")
    if data.val_size:
        trainer.validate(model, data, verbose=False)
    trainer.test(model, data, verbose=False)
    if run is None:
        return
    predictions = {
        part: _to_numpy(model.predictions[part]) for part in ("val", "test") if part in model.predictions
    }
    for part, arrays in predictions.items():
        run.save_predictions(part, arrays)
    metrics = {
        part: {"images": len(arrays.labels), **plain_metrics(model.results[part])}
        for part, arrays in predictions.items()
    }
    run.update(metrics=metrics)
    drawn = report.draw_figures(run, predictions["test"], data)
    report.write_tensorboard(run, drawn, model, data)
    _finish(cli, run, "finished")
    print(predictions["test"].report())
    print(
        f"test accuracy {predictions['test'].accuracy:.4f} after {cli.clock.epochs} epochs "
        f"in {cli.clock.seconds:.0f} s; run folder {run.path}"
    )


def _to_numpy(predictions: tuple[Tensor, Tensor, Tensor]) -> Predictions:
    return Predictions(*(values.cpu().numpy() for values in predictions))


def _finish(cli: TrainCLI, run: Run | None, status: str) -> None:
    """Record how the run ended; of a run that did not finish, as far as the disk lets it."""
    if run is not None:
        with contextlib.suppress(*() if status == "finished" else (OSError,)):
            run.finish(status, epochs=cli.clock.epochs, train_seconds=round(cli.clock.seconds, 2))


def _quieten() -> None:
    """Silence what Lightning says of itself; warnings that concern the user stay."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # prints its table so
    warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)` is deprecated")
    warnings.filterwarnings("ignore", "(?s).*provide both args and command line arguments")  # --resume adds
    # every process logs what all of them gathered
    warnings.filterwarnings("ignore", "It is recommended to use `self.log")
    warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero")  # no validation set
    warnings.filterwarnings(
        "ignore", "The number of training batches .* is smaller than the logging interval"
    )
    warnings.filterwarnings("ignore", "`torch.jit.trace", FutureWarning)  # how TensorBoard draws the graph
