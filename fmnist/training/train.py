"""What ``scripts/train.py`` does: parse, fit, test the best epoch, and leave a run folder."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fmnist.core.errors import InputError, exits_cleanly, quoted
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.core.tables import counted
from fmnist.models.metrics import plain_metrics
from fmnist.training import outputs
from fmnist.training.command_line import parse
from fmnist.training.session import Session
from fmnist.training.threads import yields_cores
from fmnist.training.trainer_parts import check_launch


@exits_cleanly
def main(args: Sequence[str] | None = None) -> Run | None:
    """Train a network as the command line ``args`` says, by default that of this process.

    Returns:
        The finished run, on the main process.
    """
    _silence_libraries()
    # as the model does when it is fitted; here before the threads exist that inherit it
    torch.set_flush_denormal(True)
    command = parse(args)
    session, resumed = Session(command), command.resumed
    if resumed is not None:  # Lightning warns of checkpoints that it is about to continue
        warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
        if resumed.status == "finished" and not command.earlier_end:
            if not session.trainer.is_global_zero:
                return None
            # only a SLURM job that starts again comes here, and has nothing left to do for this run
            print(f"{quoted(resumed.path)}: was finished by this job before it was queued again")
            return resumed
    model, data = command.model, command.data
    with session.signals, yields_cores():
        data.prepare_data()
        data.setup()
        data.check_processes(session.trainer.world_size)
        _check_batch(session)
        check_launch(session.trainer, command.config.trainer.strategy)
        with session.run_folder() as run:
            session.trainer.fit(model, data, ckpt_path=session.checkpoint, weights_only=True)
            _test(session)
            if run is not None:
                _save(session, run)
    return run


def _check_batch(session: Session) -> None:
    """Refuse batches of one image for a network that normalises vectors over the images of a batch."""
    data, world_size = session.command.data, session.trainer.world_size
    images = len(data.train_indices) + data.photographs_per_batch
    layers = session.command.model.network.modules()
    if min(data.batch_size, images) // world_size == 1 and any(isinstance(m, nn.BatchNorm1d) for m in layers):
        small = data.batch_size < 2 * world_size
        flag = f"batch_size {data.batch_size}" if small else f"train_size {len(data.train_indices)}"
        raise InputError(f"--data.{flag}: leaves one image a step, and --model.batch_norm needs two")


def _test(session: Session) -> None:
    """Score the best epoch on the validation set, and on the test set unless ``--test false`` spares that."""
    model, data = session.command.model, session.command.data
    session.trainer.loggers = []  # what follows is no part of the learning curves
    session.load_best()
    if data.val_dataloader():
        session.trainer.validate(model, data, verbose=False)
    if session.command.config.test:
        session.trainer.test(model, data, verbose=False)


def _save(session: Session, run: Run) -> None:
    """Leave predictions, metrics, figures and TensorBoard's pages in the run folder, and print the report."""
    model, data = session.command.model, session.command.data
    predictions: dict[str, Predictions] = {}
    metrics: dict[str, Any] = {}
    for part in ("val", "test"):
        if part in model.predictions:  # there may be no validation, and no test
            predictions[part] = Predictions(*(values.cpu().numpy() for values in model.predictions[part]))
            run.save_predictions(part, predictions[part])
            metrics[part] = {"images": len(predictions[part].labels), **plain_metrics(model.results[part])}
        else:  # a run that is resumed may have been tested before
            run.remove_predictions(part)
    if "photographs" in model.results and data.photographs is not None:
        logits, targets, indices = (values.cpu().numpy() for values in model.predictions["photographs"])
        run.save_photographs(data.photographs.images[indices], logits, targets)
        accuracy = model.results["photographs"]["accuracy"]
        metrics["photographs"] = {"images": len(indices), "accuracy": round(accuracy.item(), 7)}
    run.update(metrics=metrics)
    with outputs.optional("the results in loggers of your own"):
        session.log_results(metrics)
    test = predictions.get("test")
    drawn = outputs.draw_figures(run, test, data)
    outputs.write_tensorboard(run, drawn, model, data)
    if test is not None:
        print(test.report())
    session.finish(run)
    accuracies = [f"{part} accuracy {scored.accuracy:.4f}" for part, scored in predictions.items()]
    print(
        f"{accuracies[-1] if accuracies else 'neither validated nor tested'} "
        f"after {counted(session.clock.epochs, 'epoch')} "
        f"in {session.clock.seconds:.0f} s; run folder {quoted(run.path)}; {session.how_it_ended()}"
    )


def _concerns_the_user(record: logging.LogRecord) -> bool:
    """Tell whether a line of Lightning's shared log is a warning or of a callback that the user named."""
    path = Path(record.pathname)
    return record.levelno > logging.INFO or (
        path.parent.name == "callbacks" and path.stem != "weight_averaging"  # EMA's notes on checkpoints
    )


def _silence_libraries() -> None:
    """Silence what Lightning says of itself; warnings that concern the user stay."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    for part in ("callbacks", "profilers"):  # what the user asked for, like a model summary or a time limit
        logging.getLogger(f"lightning.pytorch.{part}").setLevel(logging.INFO)
    shared = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    shared.setLevel(logging.INFO)
    shared.addFilter(_concerns_the_user)
    for message in (
        "`isinstance\\(treespec, LeafSpec\\)` is deprecated",
        "(?s).*provide both args and command line arguments",  # tests and --resume do
        "It is recommended to use `self.log",  # every process logs what all of them gathered
        "Total length of `list` across ranks is zero",  # no validation set
        "The number of training batches .* is smaller than the logging interval",
        "`torch.jit.trace",  # how TensorBoard draws the graph
        "Be aware that when using `ckpt_path`, callbacks used",  # a limit was lifted; all else is checked
    ):
        warnings.filterwarnings("ignore", message)


if __name__ == "__main__":
    main()
