"""The LightningModule in a user's own Trainer, with plain loaders and without this project's data module."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.tuner import Tuner
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from fmnist.core.errors import InputError
from fmnist.data.datamodule import FashionMNISTDataModule
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
    logits, labels, indices = model.predictions["test"]
    images, expected = images_and_labels()
    assert torch.equal(indices, torch.arange(200))
    assert torch.equal(labels, expected)
    with torch.no_grad():
        torch.testing.assert_close(logits, model.eval()(images), rtol=1e-4, atol=1e-5)


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


@pytest.mark.parametrize(("optimizer", "learning_rate"), [("adamw", 0.01), ("muon", 0.05)])
def test_a_network_without_head_and_features(optimizer: Any, learning_rate: float) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 24), nn.ReLU(), nn.Linear(24, 10))
    model = Classifier(network, optimizer=optimizer, learning_rate=learning_rate)
    fit = trainer(max_epochs=6)
    fit.fit(model, plain_loader(shuffle=True), plain_loader())
    assert fit.callback_metrics["val/accuracy"] > 0.9


@pytest.mark.parametrize("labelled", [True, False])
def test_predict_returns_the_logits_in_order(labelled: bool) -> None:
    model = mlp(flip_average=True)
    images, _ = images_and_labels()
    batches = trainer().predict(model, plain_loader() if labelled else DataLoader(images, batch_size=32))
    logits = torch.cat(batches)
    assert logits.shape == (200, 10)
    with torch.no_grad():
        expected = (model(images) + model(images.flip(-1))) / 2
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


def test_predict_of_our_test_set_equals_the_predictions_of_test(synthetic_root: Path) -> None:
    data = FashionMNISTDataModule(str(synthetic_root), val_size=100, eval_batch_size=64)
    data.setup()
    model = mlp(flip_average=True)
    trainer().test(model, data.test_dataloader(), verbose=False)
    logits = torch.cat(trainer().predict(model, data.test_dataloader()))
    assert torch.equal(logits, model.predictions["test"][0])


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
    assert max(model.rates) == pytest.approx(finder.suggestion())  # the schedule's peak, after 14 of 28 steps


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


def test_a_training_within_another_changes_neither() -> None:
    class Fit(Callback):
        def __init__(self, inner: LitMLP) -> None:
            self.inner = inner

        def on_train_batch_end(self, trainer_: Trainer, pl_module: LightningModule, *_: Any) -> None:
            if trainer_.global_step == 3:
                trainer(max_epochs=1).fit(self.inner, plain_loader())

    alone, outer, inner = dropout_mlp(), dropout_mlp(), dropout_mlp()
    trainer(max_epochs=1).fit(alone, plain_loader())
    trainer(Fit(inner), max_epochs=1).fit(outer, plain_loader())
    assert all(map(torch.equal, weights(outer), weights(alone)))
    assert len(outer.results) == len(inner.results) == 1


def test_training_flushes_denormal_numbers() -> None:
    class Seen(Callback):
        products: list[float]

        def on_train_batch_end(self, *_: Any) -> None:
            self.products.append((torch.tensor([1e-40]) * 1.5).item())

    seen = Seen()
    seen.products = []
    torch.set_flush_denormal(False)
    try:
        trainer(seen, max_steps=2, max_epochs=1).fit(mlp(), plain_loader())
    finally:
        torch.set_flush_denormal(False)
    assert seen.products == [0, 0]


def test_batches_may_grow_from_one_training_to_the_next() -> None:
    model = mlp()
    for batch_size in (2, 100):
        trainer(max_epochs=1, limit_train_batches=1).fit(model, plain_loader(batch_size=batch_size))
    assert model.results["train"]["loss"].isfinite()
