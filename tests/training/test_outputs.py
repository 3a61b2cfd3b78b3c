"""What is drawn after a training: augmented images, embeddings, the graph of the network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from fmnist.core.constants import CLASSES
from fmnist.core.runs import Run
from fmnist.data.augmentation import Augmentation
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.inference.predictor import load_model
from fmnist.models.classifier import Classifier
from fmnist.models.mlp import LitMLP
from fmnist.training import outputs
from fmnist.training.session import Session

DRAW_FIGURES, WRITE_TENSORBOARD = outputs.draw_figures, outputs.write_tensorboard


@pytest.fixture(scope="module")
def data(synthetic_root: Path) -> FashionMNISTDataModule:
    module = FashionMNISTDataModule(
        str(synthetic_root), val_size=100, augmentation=Augmentation(shift=2, flip=True), seed=5
    )
    module.setup()
    return module


def test_augmented_images(data: FashionMNISTDataModule) -> None:
    originals, views = outputs.augmented_images(data, rows=4, epochs=5)
    assert originals.shape == (4, 28, 28)
    assert originals.dtype == np.uint8
    assert views.shape == (4, 5, 28, 28)
    assert views.dtype == np.float32
    assert 0 <= views.min() < views.max() <= 1
    train = data.data.train_images[data.train_indices]
    labels = data.data.train_labels[data.train_indices]
    for row in range(4):  # the first training image of each class
        assert np.array_equal(originals[row], train[labels == row][0])
        assert len(np.unique(views[row], axis=0)) > 1
    expected = data.train_dataloader().augmenter
    expected.set_epoch(3)
    index = data.train_indices[labels == 2][:1]
    assert np.array_equal(views[2, 3], expected.batch(index)[0][0, 0])


def test_a_compiled_network_is_drawn_too(data: FashionMNISTDataModule, tmp_path: Path) -> None:
    model = LitMLP(widths=(8,))
    model.network.compile(backend="eager")  # needs no compiler
    model(torch.rand(2, 1, 28, 28))
    run = Run.create(tmp_path, "compiled", metrics={})
    outputs.write_tensorboard(run, {}, model, data)
    events = [path for path in run.path.iterdir() if path.name.startswith("events")]
    assert any(EventAccumulator(str(path)).Reload().Tags()["graph"] for path in events)


def test_the_projector_holds_the_first_test_images(
    data: FashionMNISTDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "EMBEDDED", 50)
    run = Run.create(tmp_path, "few", metrics={})
    outputs.write_tensorboard(run, {}, LitMLP([8]), data)
    folder = run.path / "00000" / "test_embedding"
    assert np.loadtxt(folder / "tensors.tsv").shape == (50, 8)
    monkeypatch.setattr(outputs, "COMPONENTS", 3)
    run = Run.create(tmp_path, "reduced", metrics={})
    outputs.write_tensorboard(run, {}, LitMLP([8]), data)
    assert np.loadtxt(run.path / "00000" / "test_embedding" / "tensors.tsv").shape == (50, 3)
    names = (folder / "metadata.tsv").read_text().splitlines()
    assert names == [CLASSES[label] for label in data.data.test_labels[:50]]


class Convolutions(nn.Module):
    """Like torchvision's networks, whose ``features`` are maps; cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2), nn.ReLU())
        self.classifier = nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        if torch.jit.is_tracing():
            raise RuntimeError("cannot\nbe traced")
        return self.classifier(self.features(images).mean((2, 3)))


class LitPlain(Classifier):
    def __init__(self, **training: Any) -> None:
        super().__init__(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), **training)


class LitConvolutions(Classifier):
    def __init__(self, **training: Any) -> None:
        super().__init__(Convolutions(), **training)


@pytest.mark.parametrize(
    ("model", "warnings"),
    [
        (LitPlain, []),
        (
            LitConvolutions,
            ["warning: the network's graph in TensorBoard left out (RuntimeError: cannot be traced)"],
        ),
    ],
)
def test_a_network_needs_nothing_but_forward(
    data: FashionMNISTDataModule,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    model: Callable[..., Classifier],
    warnings: list[str],
) -> None:
    built = model(optimizer="muon")
    run = Run.create(tmp_path, "plain", metrics={})
    outputs.write_tensorboard(run, {}, built, data)
    printed = capsys.readouterr()
    assert printed.err.splitlines() == warnings
    assert printed.out.startswith("no projector: ")
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "best.ckpt").touch()
    monkeypatch.setattr("fmnist.models.loading.load_classifier", lambda _: built.eval())
    loaded = load_model(run.path)
    images = np.zeros((3, 28, 28), np.uint8)
    assert loaded.logits(images).shape == (3, 10)
    assert loaded.embeddings(images).shape == (3, 784)  # the pixels, as of an estimator


def test_what_comes_after_the_test_fails_no_training(
    train: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ValueError("no such font")

    monkeypatch.setattr(outputs, "draw_figures", DRAW_FIGURES)  # the fixture leaves them out
    monkeypatch.setattr(outputs, "write_tensorboard", WRITE_TENSORBOARD)
    for name in ("learning_curves", "outcome_figures", "augmented_grid"):
        monkeypatch.setattr(outputs.figures, name, fail)
    monkeypatch.setattr(outputs.SummaryWriter, "add_embedding", fail)
    monkeypatch.setattr(Session, "log_results", fail)
    run = train()
    assert run.status == "finished"
    assert capsys.readouterr().err.count("left out (ValueError: no such font)") == 5
