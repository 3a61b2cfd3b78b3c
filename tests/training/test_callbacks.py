"""Callbacks in a small fit: averaged weights, the stop at a non-finite loss, logged times, printed lines."""

import copy
import csv
import math
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from fmnist.core.errors import InputError
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models.mlp import LitMLP
from fmnist.training.callbacks import EMA, EpochClock, EpochLines, StopAtNonFiniteLoss
from fmnist.training.epoch_table import EpochTable
from tests.models.fitting import trainer

STEPS = 5  # in an epoch


@pytest.fixture(scope="module")
def data(synthetic_root: Path) -> FashionMNISTDataModule:
    return FashionMNISTDataModule(str(synthetic_root), batch_size=100, val_size=100)


@pytest.fixture
def model() -> LitMLP:
    torch.manual_seed(0)
    return LitMLP([16], batch_norm=True, optimizer="sgd", learning_rate=0.1, schedule="constant", warmup=0.0)


def weights(model: LightningModule) -> dict[str, Tensor]:
    return copy.deepcopy(model.network.state_dict())


class Recorder(Callback):
    """Keeps the weights after each step."""

    def __init__(self) -> None:
        self.after: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.after.append(weights(pl_module))


class Poison(Callback):
    """Spoils a weight before one step, counted from 1 over all epochs."""

    def __init__(self, step: int, value: float = math.nan) -> None:
        self.step, self.value = step, value

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step + 1 == self.step:
            torch.nn.init.constant_(pl_module.network.head.bias, self.value)


@pytest.mark.parametrize(("every", "epochs"), [(1, 2), (4, 10)])
def test_ema_is_the_exponential_average_of_weights_and_buffers(
    data: FashionMNISTDataModule, model: LitMLP, tmp_path: Path, every: int, epochs: int
) -> None:
    recorder, decay = Recorder(), 0.8
    saver = ModelCheckpoint(tmp_path, filename="best")
    fit = trainer(recorder, EMA(decay, every), saver, enable_checkpointing=True, max_epochs=epochs)
    fit.fit(model, data)
    assert len(recorder.after) == epochs * STEPS
    state = torch.load(tmp_path / "best.ckpt", weights_only=True)["state_dict"]
    for name, averaged in weights(model).items():
        torch.testing.assert_close(state[f"network.{name}"], averaged)
        if not averaged.is_floating_point():
            continue  # the number of batches seen
        average = recorder.after[0][name]
        for step, update in enumerate(recorder.after[1:], 1):  # counted from 0
            # a short training is averaged over what there is; the first 40 steps one by one, then ``every``
            factor = min(decay, (1 + step) / (10 + step)) ** (1 if step < 40 else every)
            if step < 40 or (step + 1) % every == 0:
                average = factor * average + (1 - factor) * update[name]
        torch.testing.assert_close(averaged, average, rtol=1e-5, atol=1e-6)
    assert not torch.equal(model.network.head.weight, recorder.after[-1]["head.weight"])
    logits, _, indices = model.predictions["val"]  # validation uses the average, too
    with torch.no_grad():
        expected = model.eval()(data.data.train_images[indices][:, None].float() / 255)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_a_short_training_is_no_worse_for_an_average_over_many_steps(data: FashionMNISTDataModule) -> None:
    losses = {}
    for callbacks in ((), (EMA(0.9999),)):
        torch.manual_seed(0)
        model = LitMLP([16], batch_norm=True, learning_rate=0.01)
        trainer(*callbacks, max_epochs=6).fit(model, data)
        losses[len(callbacks)] = float(model.results["val"]["loss"])
    assert losses[1] < losses[0] + 0.1


def test_validation_after_a_fit_uses_the_weights_that_were_loaded(
    data: FashionMNISTDataModule, model: LitMLP
) -> None:
    fit = trainer(EMA(0.8, 1), max_epochs=2)
    fit.fit(model, data)
    torch.nn.init.zeros_(model.network.head.weight)
    torch.nn.init.zeros_(model.network.head.bias)
    fit.validate(model, data, verbose=False)
    assert model.predictions["val"][0].count_nonzero() == 0
    assert model.network.head.weight.count_nonzero() == 0


@pytest.mark.parametrize("decay", [0.0, 1.0, math.nan])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(InputError, match=rf"^--ema {decay}: must lie between 0 and 1"):
        EMA(decay)


@pytest.mark.parametrize(("step", "value"), [(2, math.inf), (STEPS, math.nan), (STEPS + 1, math.nan)])
def test_a_non_finite_loss_stops_within_a_step_and_names_it(
    data: FashionMNISTDataModule, model: LitMLP, step: int, value: float
) -> None:
    fit = trainer(StopAtNonFiniteLoss(), Poison(step, value), max_epochs=2)
    with pytest.raises(
        InputError, match=rf"^the loss was (nan|inf) at step {step}: try a --model\.learning_rate below 0\.1"
    ):
        fit.fit(model, data)
    assert fit.global_step <= step + 1


def test_a_non_finite_last_step_is_not_saved(
    data: FashionMNISTDataModule, model: LitMLP, tmp_path: Path
) -> None:
    saver = ModelCheckpoint(tmp_path, filename="{epoch}", save_last=True, save_top_k=-1)
    poisoned = StopAtNonFiniteLoss(), Poison(2 * STEPS), saver
    with pytest.raises(InputError, match=f"at step {2 * STEPS}:"):
        trainer(*poisoned, enable_checkpointing=True, max_epochs=2).fit(model, data)
    assert {path.name for path in tmp_path.iterdir()} == {"epoch=0.ckpt", "last.ckpt"}
    for path in tmp_path.iterdir():
        state = torch.load(path, weights_only=True)["state_dict"]
        assert all(value.isfinite().all() for value in state.values())


def test_logged_times_and_printed_lines(
    data: FashionMNISTDataModule, model: LitMLP, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class SlowValidation(Callback):
        def on_validation_start(self, *_: Any) -> None:
            time.sleep(0.3)

    clock, table = EpochClock(), EpochTable(tmp_path / "metrics.csv")
    fit = trainer(clock, EpochLines(), SlowValidation(), logger=table, log_every_n_steps=1, max_epochs=2)
    fit.fit(model, data)
    with table.path.open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert [row["learning_rate"] for row in rows] == [pytest.approx(0.1)] * 2
    assert rows[0]["images_per_second"] >= 500 / (rows[0]["seconds"] - 0.3)  # validation is left out
    assert 0.3 < rows[0]["seconds"] < rows[1]["seconds"] - 0.3
    assert clock.seconds == pytest.approx(rows[1]["seconds"], rel=1e-5)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert lines == [
        f"epoch   {number}/2   train loss {row['train/loss']:.4f} accuracy {row['train/accuracy']:.4f}"
        f"   val loss {row['val/loss']:.4f} accuracy {row['val/accuracy']:.4f}"
        f"   {row['images_per_second']:,.0f} images/s   {row['seconds']:.0f} s"
        for number, row in enumerate(rows, 1)
    ]


@pytest.mark.parametrize("step", [1, 3])
def test_learning_rate_is_logged_by_step_to_every_logger(
    data: FashionMNISTDataModule, model: LitMLP, tmp_path: Path, step: int
) -> None:
    class Steps(EpochTable):
        def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
            if "step/learning_rate" in metrics:
                seen.append((step, metrics["step/learning_rate"]))

    seen: list[tuple[int | None, float]] = []
    loggers = [Steps(tmp_path / "a.csv"), Steps(tmp_path / "b.csv")]
    trainer(EpochClock(), logger=loggers, log_every_n_steps=step, max_epochs=1).fit(model, data)
    # after every so many steps, at the number of the last of them counted from 0
    assert seen[::2] == [(number - 1, pytest.approx(0.1)) for number in range(step, STEPS + 1, step)]
    assert seen[1::2] == seen[::2]
