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
from torch.utils.data import DataLoader, Dataset, TensorDataset

from fmnist.core.calibration import calibration_error, confidences
from fmnist.core.errors import InputError
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models.classifier import fixed_targets
from fmnist.models.mlp import LitMLP
from fmnist.models.optimization import OptimizerName, schedule_factor
from tests.models.fitting import images_and_labels, mlp, trainer

STEPS = 5  # in an epoch


class Reversed(FashionMNISTDataModule):
    """Returns the test images from the last to the first, so that sorting shows."""

    @property
    def test_indices(self) -> Tensor:
        return super().test_indices.flip(0)


@pytest.fixture(scope="module")
def data(synthetic_root: Path) -> FashionMNISTDataModule:
    return Reversed(str(synthetic_root), batch_size=100, eval_batch_size=64, val_size=100)


@pytest.fixture(scope="module")
def fitted(data: FashionMNISTDataModule) -> tuple[LitMLP, Trainer]:
    """A perceptron after two epochs and a test."""
    model = mlp(learning_rate=3e-3, label_smoothing=0.2)
    fit = trainer(max_epochs=2)
    fit.fit(model, data)
    fit.test(model, data, verbose=False)
    return model, fit


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("stage", ["val", "test"])
def test_logits_that_are_not_numbers_are_refused(
    data: FashionMNISTDataModule, stage: str, value: float
) -> None:
    model = mlp()
    model.network.register_forward_hook(lambda module, images, logits: logits.where(logits < 0, value))
    score = trainer().validate if stage == "val" else trainer().test
    with pytest.raises(
        InputError, match=rf"^--model LitMLP: gives scores that .* images of the {stage} set$"
    ):
        score(model, data, verbose=False)


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
    expected = {
        "loss": reference.log_loss(labels, probabilities, labels=range(10)),
        "accuracy": reference.accuracy_score(labels, predicted),
        "top2_accuracy": reference.top_k_accuracy_score(labels, logits, k=2),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "class_accuracy": reference.recall_score(labels, predicted, average=None, zero_division=0),
        "calibration_error": calibration_error(*confidences(probabilities, labels)),
        "confusion_matrix": reference.confusion_matrix(labels, predicted, labels=range(10)),
    }
    assert results.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(results[name], value, rtol=0, atol=1e-6, err_msg=name)
    assert 0.2 < expected["accuracy"] < 1  # neither chance nor perfection hides a mistake


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
    torch.testing.assert_close(model.results["train"]["loss"], F.cross_entropy(logits, labels))
    accuracy = (logits.argmax(1) == labels).float().mean()
    torch.testing.assert_close(fit.callback_metrics["train/accuracy"], accuracy)
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
        ({"max_steps": 100, "max_epochs": 2}, 2 * STEPS),
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


class Recorder(Callback):
    """Keeps the loss of each step, and the learning rates that it used, one of each group."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rates: list[list[float]] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        self.losses.append(outputs["loss"].item())


def test_every_group_follows_the_schedule_step_by_step(data: FashionMNISTDataModule) -> None:
    recorder = Recorder()
    rates = {"learning_rate": 0.02, "adam_learning_rate": 1e-3}
    model = mlp(optimizer="muon", **rates, schedule="onecycle", warmup=0.3)
    trainer(recorder, max_epochs=2, limit_val_batches=0).fit(model, data)
    expected = [schedule_factor("onecycle", (step + 0.5) / 10, 0.3) for step in range(10)]
    np.testing.assert_allclose(recorder.rates, np.outer(expected, [0.02, 1e-3]), rtol=1e-6)


@pytest.mark.parametrize("optimizer", get_args(OptimizerName))
def test_every_optimiser_overfits_one_batch(synthetic_root: Path, optimizer: OptimizerName) -> None:
    data = FashionMNISTDataModule(str(synthetic_root), train_size=50, batch_size=50, val_size=100)
    rate = {"adam": 3e-3, "adamw": 3e-3, "sgd": 0.05, "muon": 0.05}[optimizer]
    recorder = Recorder()
    fit = trainer(recorder, max_epochs=25, limit_val_batches=0)
    fit.fit(mlp(optimizer=optimizer, learning_rate=rate, warmup=0.0), data)
    assert len(recorder.losses) == 25
    assert recorder.losses[-1] < 0.5 * recorder.losses[0]


def test_a_checkpoint_holds_weights_and_plain_hyperparameters(
    fitted: tuple[LitMLP, Trainer], tmp_path: Path
) -> None:
    fitted[1].save_checkpoint(tmp_path / "model.ckpt")
    checkpoint = torch.load(tmp_path / "model.ckpt", weights_only=True)
    hparams = checkpoint["hyper_parameters"]
    assert json.loads(json.dumps(hparams)) == hparams
    assert (hparams["widths"], hparams["label_smoothing"]) == ([16], 0.2)
    assert not hparams.keys() & {"network", "training"}
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
        ("learning_rate", float("nan")),
        ("weight_decay", -0.1),
        ("momentum", 1.0),
        ("warmup", 1.5),
        ("label_smoothing", 1.0),
    ],
)
def test_values_out_of_range_name_the_flag(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"^--model\.{name} {value}: must (lie|be) "):
        LitMLP(**{name: value})


def test_several_right_answers_have_the_gradient_of_the_sum_of_their_probabilities() -> None:
    logits = torch.randn(3, 10, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    targets = torch.zeros(3, 10).double()
    targets[0, [2, 4, 6]] = 1
    targets[1, 3] = 1
    targets[2] = 0.1  # a foreign garment
    probabilities = logits.softmax(1)
    wanted = -probabilities[0, [2, 4, 6]].sum().log() - probabilities[1, 3].log()
    wanted = wanted - 0.1 * probabilities[2].log().sum()
    (expected,) = torch.autograd.grad(wanted / 3, logits)
    fixed = fixed_targets(targets, logits)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, fixed), logits)
    torch.testing.assert_close(gradient, expected)
    assert torch.equal(fixed[1:], targets[1:])
    torch.testing.assert_close(
        F.cross_entropy(logits[2:], fixed[2:], label_smoothing=0.3), F.cross_entropy(logits[2:], fixed[2:])
    )


def test_training_accuracy_counts_the_first_images_of_a_batch() -> None:
    class Photographs(Dataset[Any]):
        def __len__(self) -> int:
            return 2

        def __getitem__(self, number: int) -> tuple[Tensor, ...]:
            images, labels = images_and_labels(40)
            targets = torch.cat([F.one_hot(labels[:30], 10), F.one_hot((labels[30:] + 1) % 10, 10)])
            return images, targets.float(), torch.arange(40) + 40 * number, labels[:30]

    model, fit = mlp(learning_rate=1e-9), trainer(max_epochs=1)
    fit.fit(model, DataLoader(Photographs(), batch_size=None))
    images, labels = images_and_labels(40)
    right = model.eval()(images[:30]).argmax(1) == labels[:30]
    assert model.results["train"]["accuracy"].item() == pytest.approx(right.float().mean().item())
