"""The LightningModule on synthetic data: metrics, loss, schedule, optimisers, hyperparameters."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from sklearn import metrics as reference
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from fmnist.core.errors import InputError
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models.mlp import LitMLP
from fmnist.models.optimization import OptimizerName, schedule_factor
from tests.models.fitting import images_and_labels, mlp, trainer
from tests.models.metrics_by_hand import calibration_error

STEPS = 5  # in an epoch


@pytest.fixture(scope="module")
def data(synthetic_root: Path) -> FashionMNISTDataModule:
    data = FashionMNISTDataModule(str(synthetic_root), batch_size=100, eval_batch_size=64, val_size=100)
    data.setup()
    data.test_indices = data.test_indices.flip(0)  # so that sorting shows
    return data


@pytest.fixture(scope="module")
def fitted(data: FashionMNISTDataModule) -> tuple[LitMLP, Trainer]:
    """A perceptron after two epochs and a test."""
    model = mlp(learning_rate=3e-3, label_smoothing=0.2)
    fit = trainer(max_epochs=2)
    fit.fit(model, data)
    fit.test(model, data, verbose=False)
    return model, fit


@pytest.mark.parametrize("stage", ["val", "test"])
def test_metrics_equal_scikit_learn(fitted: tuple[LitMLP, Trainer], stage: str) -> None:
    model, _ = fitted
    results = {name: value.numpy() for name, value in model.results[stage].items()}
    logits, labels, _ = (values.numpy() for values in model.predictions[stage])
    predicted = logits.argmax(1)
    precision, recall, f1, _ = reference.precision_recall_fscore_support(
        labels, predicted, average="macro", zero_division=0
    )
    probabilities = torch.from_numpy(logits).double().softmax(1).numpy()
    second = np.sort(logits)[:, -2]
    expected = {
        "loss": reference.log_loss(labels, probabilities, labels=range(10)),
        "accuracy": reference.accuracy_score(labels, predicted),
        "top2_accuracy": np.mean(logits[range(len(labels)), labels] >= second),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "class_accuracy": reference.recall_score(labels, predicted, average=None, zero_division=0),
        "calibration_error": calibration_error(probabilities, labels),
        "confusion_matrix": reference.confusion_matrix(labels, predicted, labels=range(10)),
    }
    assert results.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(results[name], value, rtol=0, atol=1e-6, err_msg=name)
    assert 0.2 < expected["accuracy"] < 1  # neither chance nor perfection hides a mistake


def test_scalar_metrics_are_logged_once_an_epoch(fitted: tuple[LitMLP, Trainer]) -> None:
    model, fit = fitted
    names = {"loss", "accuracy", "top2_accuracy", "precision", "recall", "f1", "calibration_error"}
    assert {name for name in fit.callback_metrics if name.startswith("test/")} == {
        f"test/{name}" for name in names
    }
    assert float(fit.callback_metrics["test/f1"]) == float(model.results["test"]["f1"])


def test_predictions_are_whole_and_sorted_by_index(
    fitted: tuple[LitMLP, Trainer], data: FashionMNISTDataModule
) -> None:
    logits, labels, indices = fitted[0].predictions["test"]
    assert torch.equal(indices, torch.arange(200))
    assert torch.equal(labels, data.data.test_labels)
    assert logits.dtype == torch.float32
    assert torch.equal(fitted[0].predictions["val"][2], data.val_indices)
    with torch.no_grad():
        expected = fitted[0].eval()(data.data.test_images[:, None].float() / 255)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_label_smoothing_changes_the_training_step_alone(data: FashionMNISTDataModule) -> None:
    batch = next(iter(data.train_dataloader()))
    images, labels, _ = batch
    for smoothing in (0.0, 0.2):
        model = mlp(label_smoothing=smoothing)
        shares = F.one_hot(labels, 10) * (1 - smoothing) + smoothing / 10
        expected = -(shares * model(images).log_softmax(1)).sum(1).mean()
        torch.testing.assert_close(model.training_step(batch, 0), expected)


def test_training_loss_of_an_epoch_is_plain_cross_entropy(
    data: FashionMNISTDataModule,
) -> None:
    model = mlp(label_smoothing=0.3, learning_rate=1e-12)  # the network stays what it is
    fit = trainer(max_epochs=1)
    fit.fit(model, data)
    images, labels = data.data.train_images[data.train_indices], data.data.train_labels[data.train_indices]
    with torch.no_grad():
        logits = model(images[:, None].float() / 255)
    assert float(model.results["train"]["loss"]) == pytest.approx(
        float(F.cross_entropy(logits, labels)), abs=1e-5
    )
    accuracy = float((logits.argmax(1) == labels).float().mean())
    assert float(fit.callback_metrics["train/accuracy"]) == pytest.approx(accuracy, abs=1e-6)
    assert "train" not in model.predictions


def test_mixed_labels_train_by_their_shares_and_count_as_the_larger_one() -> None:
    images, labels = images_and_labels(50)
    shares = 0.7 * F.one_hot(labels, 10) + 0.3 * F.one_hot(labels.flip(0), 10)
    model = mlp(learning_rate=1e-12)
    fit = trainer(max_epochs=1)
    fit.fit(model, DataLoader(TensorDataset(images, shares), batch_size=50))
    logits = model(images)
    assert model.results["train"]["accuracy"] == (logits.argmax(1) == labels).float().mean()
    expected = -(shares * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(model.training_step((images, shares, labels), 0), expected)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"max_epochs": 2}, 2 * STEPS),
        ({"max_steps": 7}, 7),
        ({"max_steps": 7, "max_epochs": 10}, 7),
        ({"max_steps": 100, "max_epochs": 2}, 2 * STEPS),
        ({"max_epochs": 2, "limit_train_batches": 3}, 6),
        ({"max_epochs": 2, "limit_train_batches": 100}, 2 * STEPS),
        ({"max_epochs": 2, "limit_train_batches": 0.5}, 4),
        ({"max_epochs": 2, "accumulate_grad_batches": 2}, 6),
        ({"max_epochs": 2, "overfit_batches": 1}, 2),
        ({"fast_dev_run": True}, 1),
    ],
)
def test_the_schedule_ends_with_the_last_step(
    data: FashionMNISTDataModule, arguments: dict[str, Any], expected: int
) -> None:
    model = mlp(schedule="linear", warmup=0.0)
    fit = trainer(limit_val_batches=0, **arguments)
    fit.fit(model, data)
    assert fit.global_step == expected
    assert fit.optimizers[0].param_groups[0]["lr"] == 0


def test_a_schedule_without_an_end_is_refused(data: FashionMNISTDataModule) -> None:
    with pytest.raises(InputError, match=r"^--trainer\.max_epochs: must be set"):
        trainer(max_epochs=-1).fit(mlp(), data)


def test_the_loaders_are_set_up_once(data: FashionMNISTDataModule, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = FashionMNISTDataModule.train_dataloader
    monkeypatch.setattr(
        FashionMNISTDataModule, "train_dataloader", lambda self: calls.append(1) or original(self)
    )
    trainer(max_epochs=2).fit(mlp(), data)
    assert len(calls) == 1


class LearningRates(Callback):
    """Keeps the learning rate of each group at each step."""

    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.seen.append([group["lr"] for group in trainer.optimizers[0].param_groups])


def test_every_group_follows_the_schedule_step_by_step(data: FashionMNISTDataModule) -> None:
    rates = LearningRates()
    model = mlp(
        optimizer="muon", learning_rate=0.02, adam_learning_rate=1e-3, schedule="onecycle", warmup=0.3
    )
    trainer(rates, max_epochs=2, limit_val_batches=0).fit(model, data)
    expected = [schedule_factor("onecycle", step / 10, 0.3) for step in range(10)]
    np.testing.assert_allclose(rates.seen, np.outer(expected, [0.02, 1e-3]), rtol=1e-6)


@pytest.mark.parametrize("optimizer", get_args(OptimizerName))
def test_every_optimiser_overfits_one_batch(synthetic_root: Path, optimizer: OptimizerName) -> None:
    data = FashionMNISTDataModule(str(synthetic_root), train_size=50, batch_size=50, val_size=100)
    rate = {"adam": 3e-3, "adamw": 3e-3, "sgd": 0.05, "muon": 0.05}[optimizer]
    losses: list[float] = []

    class Losses(Callback):
        def on_train_batch_end(
            self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any
        ) -> None:
            losses.append(outputs["loss"].item())

    fit = trainer(Losses(), max_epochs=25, limit_val_batches=0)
    fit.fit(mlp(optimizer=optimizer, learning_rate=rate, warmup=0.0), data)
    assert len(losses) == 25
    assert losses[-1] < 0.5 * losses[0]


def test_a_checkpoint_holds_weights_and_plain_hyperparameters(
    fitted: tuple[LitMLP, Trainer], tmp_path: Path
) -> None:
    _, fit = fitted
    path = tmp_path / "model.ckpt"
    fit.save_checkpoint(path)
    checkpoint = torch.load(path, weights_only=True)
    hparams = checkpoint["hyper_parameters"]
    assert json.loads(json.dumps(hparams)) == hparams
    assert hparams["widths"] == [16]
    assert hparams["label_smoothing"] == 0.2
    assert "network" not in hparams
    assert "training" not in hparams
    assert all(name.startswith("network.") for name in checkpoint["state_dict"])


def test_bf16_logits_are_kept_in_float32(data: FashionMNISTDataModule) -> None:
    model = mlp()
    trainer(precision="bf16-mixed").test(model, data, verbose=False)
    logits: Tensor = model.predictions["test"][0]
    assert logits.dtype == torch.float32
    assert model.results["test"]["loss"].dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", -1.0),
        ("learning_rate", float("nan")),
        ("weight_decay", -0.1),
        ("momentum", 1.0),
        ("warmup", 1.5),
        ("label_smoothing", 1.0),
        ("label_smoothing", -0.1),
    ],
)
def test_values_out_of_range_name_the_flag(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"^--model\.{name} {value}: must (lie|be) "):
        LitMLP(**{name: value})
