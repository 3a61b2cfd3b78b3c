"""The LightningModule in a user's own Trainer, with plain loaders and without this project's data module."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.tuner import Tuner
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from fmnist.core.errors import InputError
from fmnist.models.classifier import Classifier
from fmnist.models.lenet5 import LitLeNet5
from fmnist.models.mlp import LitMLP
from tests.models.fitting import images_and_labels, mlp, plain_loader, trainer


def weights(model: Classifier) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.network.parameters()]


def test_plain_loaders_train_validate_and_test() -> None:
    model = mlp(learning_rate=0.01)
    fit = trainer(max_epochs=6)
    fit.fit(model, plain_loader(shuffle=True), plain_loader())
    (metrics,) = fit.test(model, plain_loader(), verbose=False)
    assert metrics["test/accuracy"] > 0.9
    assert fit.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)  # the schedule's end
    _, labels, indices = model.predictions["test"]
    assert torch.equal(indices, torch.arange(200))
    assert torch.equal(labels, images_and_labels()[1])


class Endless(IterableDataset):
    """Images without a length."""

    def __iter__(self) -> Any:
        return zip(*images_and_labels(), strict=True)


def test_a_loader_without_length_needs_max_steps() -> None:
    loader = DataLoader(Endless(), batch_size=32)
    model = mlp(schedule="linear", warmup=0.0)
    fit = trainer(max_epochs=2, max_steps=9)
    fit.fit(model, loader)
    assert fit.global_step == 9
    assert fit.optimizers[0].param_groups[0]["lr"] == 0
    with pytest.raises(InputError, match=r"^--trainer\.max_epochs: must be set \(or --trainer\.max_steps"):
        trainer(max_epochs=2).fit(mlp(), loader)


def test_a_network_without_head_and_features() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 24), nn.ReLU(), nn.Linear(24, 10))
    model = Classifier(network, optimizer="muon", learning_rate=0.05)
    fit = trainer(max_epochs=6)
    fit.fit(model, plain_loader(shuffle=True), plain_loader())
    assert fit.callback_metrics["val/accuracy"] > 0.9


@pytest.mark.parametrize("labelled", [True, False])
def test_predict_returns_the_logits_in_order(labelled: bool) -> None:
    model = mlp(flip_average=True)
    images, _ = images_and_labels()
    batches = trainer().predict(model, plain_loader() if labelled else DataLoader(images, batch_size=32))
    logits = torch.cat(batches)
    with torch.no_grad():
        expected = (model(images) + model(images.flip(-1))) / 2
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_of_lightnings_own_loads(tmp_path: Path) -> None:
    saver = ModelCheckpoint(tmp_path, filename="best")
    model = LitLeNet5(optimizer="sgd", learning_rate=0.3)
    trainer(saver, max_epochs=1, enable_checkpointing=True).fit(model, plain_loader())
    loaded = LitLeNet5.load_from_checkpoint(tmp_path / "best.ckpt").eval()
    images, _ = images_and_labels(8)
    assert loaded.hparams["learning_rate"] == 0.3
    assert torch.equal(loaded(images), model.eval()(images))


class RecordsRates(LitMLP):
    """Notes the learning rate of each step."""

    def training_step(self, *args: Any) -> Tensor:
        self.rates = [*getattr(self, "rates", []), self.trainer.optimizers[0].param_groups[0]["lr"]]
        return super().training_step(*args)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_learning_rate_finder_varies_the_rate_and_sets_it(tmp_path: Path, optimizer: Any) -> None:
    torch.manual_seed(0)
    model = RecordsRates([16], optimizer=optimizer, schedule="onecycle", warmup=0.5)
    before = weights(model)
    tuner = Tuner(trainer(max_epochs=20, default_root_dir=str(tmp_path)))
    finder = tuner.lr_find(model, plain_loader(), min_lr=1e-6, max_lr=1, num_training=50)
    assert finder is not None
    assert model.rates[0] == 1e-6
    assert model.rates == sorted(model.rates)
    assert model.rates[-1] > 0.01
    assert all(map(torch.equal, before, weights(model)))  # the finder restores them
    model.rates = []
    trainer(max_epochs=4).fit(model, plain_loader())
    # the schedule's peak is between two of 28 steps
    assert max(model.rates) == pytest.approx(finder.suggestion(), rel=0.01)


def dropout_mlp() -> LitMLP:
    return mlp(dropout=0.5, learning_rate=0.01)


def test_a_training_leaves_the_random_numbers_of_the_next_one_alone() -> None:
    def fit(model: LitMLP) -> list[Tensor]:
        trainer(max_epochs=1).fit(model, plain_loader(shuffle=True))
        return weights(model)

    alone = fit(dropout_mlp())
    first, second = dropout_mlp(), dropout_mlp()
    assert all(map(torch.equal, fit(first), alone))
    assert all(map(torch.equal, fit(second), alone))  # with no seed set in between


class Calls(Callback):
    """Calls a function after the fourth step."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == 4:
            self.function()


def test_a_training_within_another_changes_neither() -> None:
    alone, outer, inner = dropout_mlp(), dropout_mlp(), dropout_mlp()
    trainer(max_epochs=1).fit(alone, plain_loader())
    nested = Calls(lambda: trainer(max_epochs=1).fit(inner, plain_loader()))
    trainer(nested, max_epochs=1).fit(outer, plain_loader())
    assert all(map(torch.equal, weights(outer), weights(alone)))
    assert len(outer.results) == len(inner.results) == 1


def test_training_flushes_denormal_numbers() -> None:
    products: list[float] = []
    torch.set_flush_denormal(False)
    try:
        measure = Calls(lambda: products.append((torch.tensor([1e-40]) * 1.5).item()))
        trainer(measure, max_steps=4, max_epochs=1).fit(mlp(), plain_loader())
    finally:
        torch.set_flush_denormal(False)
    assert products == [0]
