"""What ``scripts/train.py`` does: configure, fit, test the best checkpoint, leave a run folder."""

import logging
import os
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from fmnist import CLASSES
from fmnist.errors import exits_cleanly
from fmnist.models.layers import multiply_adds, parameter_count
from fmnist.runs import Predictions, Run, environment
from fmnist.training import report
from fmnist.training.cli import TrainCLI, configure
from fmnist.training.table import EpochTable


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
    if os.environ.get("LOCAL_RANK", "0") == "0":
        cli.datamodule.prepare_data()
    cli.datamodule.setup()
    cli.datamodule.check_processes(cli.trainer.world_size)
    run = _start_run(cli, args)
    try:
        cli.trainer.fit(cli.model, cli.datamodule)
        finished = _evaluate(cli, run)
    except SIGTERMException:
        _finish(run, "stopped")
        sys.exit(143)
    except SystemExit:  # how Lightning ends a fit after Ctrl-C
        _finish(run, "stopped")
        raise KeyboardInterrupt from None
    except BaseException as error:
        _finish(run, "stopped" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    return finished


def _start_run(cli: TrainCLI, args: list[str] | None) -> Run | None:
    """Make the run folder on the main process, and point the loggers and checkpoints at it."""
    if not cli.trainer.is_global_zero:
        return None
    data, model, config = cli.datamodule, cli.model, cli.config
    run = Run.create(
        config.logs,
        config.name,
        kind="lightning",
        command=shlex.join(["python", "scripts/train.py", *(sys.argv[1:] if args is None else args)]),
        seed=config.seed_everything,
        **environment(),
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
    return run


def _evaluate(cli: TrainCLI, run: Run | None) -> Run | None:
    """Score the best checkpoint on validation and test; leave predictions, figures, TensorBoard pages."""
    trainer, model, data = cli.trainer, cli.model, cli.datamodule
    epochs = trainer.current_epoch
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
        return None
    predictions = {
        part: _to_numpy(model.predictions[part]) for part in ("val", "test") if part in model.predictions
    }
    for part, arrays in predictions.items():
        run.save_predictions(part, arrays)
    metrics = {
        part: {"images": len(arrays.labels), **_to_plain(model.results[part])}
        for part, arrays in predictions.items()
    }
    run.update(train_seconds=round(cli.clock.seconds, 2), epochs=epochs, metrics=metrics)
    drawn = report.draw_figures(run, predictions["test"], model.results["test"], data)
    report.write_tensorboard(run, drawn, model, data)
    run.finish("finished")
    print(report.classification_report(predictions["test"]))
    print(
        f"test accuracy {predictions['test'].accuracy:.4f} after {epochs} epochs "
        f"in {cli.clock.seconds:.0f} s; run folder {run.path}"
    )
    return run


def _to_numpy(predictions: tuple[Tensor, Tensor, Tensor]) -> Predictions:
    return Predictions(*(values.cpu().numpy() for values in predictions))


def _to_plain(results: dict[str, Tensor]) -> dict[str, Any]:
    """Return metrics as JSON takes them: numbers, lists, and per-class values by class."""
    plain: dict[str, Any] = {name: value.tolist() for name, value in results.items()}
    plain["class_accuracy"] = dict(zip(CLASSES, plain["class_accuracy"], strict=True))
    return plain


def _finish(run: Run | None, status: str) -> None:
    if run is not None:
        run.finish(status)


def _quieten() -> None:
    """Silence what Lightning says of itself; warnings that concern the user stay."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "`isinstance\\(treespec, LeafSpec\\)` is deprecated")
    warnings.filterwarnings("ignore", "Total length of `list` across ranks is zero")  # no validation set
    warnings.filterwarnings(
        "ignore", "The number of training batches .* is smaller than the logging interval"
    )
    warnings.filterwarnings("ignore", "`torch.jit.trace", FutureWarning)  # how TensorBoard draws the graph
