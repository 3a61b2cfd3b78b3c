"""What ``scripts/train.py`` does: configure, fit, test the best checkpoint, leave a run folder."""

import contextlib
import errno
import logging
import shlex
import sys
import warnings
from pathlib import Path

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from fmnist import CLASSES
from fmnist.errors import SIGTERM_STATUS, InputError, exits_cleanly, exits_on_sigterm
from fmnist.models.classifier import plain_metrics
from fmnist.models.layers import multiply_adds, parameter_count
from fmnist.runs import Predictions, Run, environment
from fmnist.training import report
from fmnist.training.cli import TrainCLI, configure
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
    cli.datamodule.prepare_data()
    cli.datamodule.setup()
    cli.datamodule.check_processes(cli.trainer.world_size)
    run = _create_run(cli, args)
    try:
        if run is not None:
            _log_to(run, cli)
        cli.trainer.fit(cli.model, cli.datamodule)
        with exits_on_sigterm():  # within a fit, Lightning sees to it
            _evaluate(cli, run)
    except SystemExit as stop:
        _finish(cli, run, "stopped")
        if isinstance(stop, SIGTERMException) or stop.code == SIGTERM_STATUS:
            sys.exit(SIGTERM_STATUS)
        raise KeyboardInterrupt from None  # Lightning ends a fit with SystemExit(1) after Ctrl-C
    except BaseException as error:
        _finish(cli, run, "stopped" if isinstance(error, KeyboardInterrupt) else "failed")
        if isinstance(error, MisconfigurationException):
            raise InputError(f"--trainer: {' '.join(str(error).split())}") from None
        if isinstance(error, OSError) and error.errno in UNWRITABLE:
            raise InputError(f"--logs {cli.config.logs}: cannot be written ({error})") from None
        raise
    return run


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
        command=shlex.join(["python", "scripts/train.py", *(sys.argv[1:] if args is None else args)]),
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


def _log_to(run: Run, cli: TrainCLI) -> None:
    """Write the configuration into the run folder, and point the loggers, hence the checkpoints, at it."""
    data, model, config = cli.datamodule, cli.model, cli.config
    # by position: jsonargparse 4.49 renamed `skip_none`, which must be off so that null overrides a default
    (run.path / "config.yaml").write_text(cli.parser.dump(config, "yaml", False))
    board = TensorBoardLogger(config.logs, name=config.name, version=run.path.name, default_hp_metric=False)
    cli.trainer.loggers = [board, EpochTable(run.path / "metrics.csv"), *cli.trainer.loggers]
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
        model.load_state_dict(torch.load(best, map_location="cpu", weights_only=True)["state_dict"])
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
    warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero")  # no validation set
    warnings.filterwarnings(
        "ignore", "The number of training batches .* is smaller than the logging interval"
    )
    warnings.filterwarnings("ignore", "`torch.jit.trace", FutureWarning)  # how TensorBoard draws the graph
