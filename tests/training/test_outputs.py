"""What people read after a training: the text report, the figures, the embeddings."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.decomposition import PCA
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from fmnist.core.runs import Predictions, Run
from fmnist.data.augmentation import Augmentation
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.models.mlp import LitMLP
from fmnist.training import outputs


@pytest.fixture(scope="module")
def data(synthetic_root: Path) -> FashionMNISTDataModule:
    module = FashionMNISTDataModule(
        str(synthetic_root), val_size=100, augmentation=Augmentation(shift=2, flip=True), seed=5
    )
    module.setup()
    return module


@pytest.fixture(scope="module")
def predictions(data: FashionMNISTDataModule) -> Predictions:
    labels = data.data.test_labels.numpy()
    logits = np.random.default_rng(0).normal(size=(len(labels), 10)).astype(np.float32)
    logits[np.arange(len(labels)), labels] += 1.5
    return Predictions(logits, labels, np.arange(len(labels)))


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


def test_augmented_images_without_augmentation_are_the_originals(synthetic_root: Path) -> None:
    data = FashionMNISTDataModule(str(synthetic_root), val_size=0)
    data.setup()
    originals, views = outputs.augmented_images(data, rows=2, epochs=2)
    np.testing.assert_allclose(views, np.repeat(originals[:, None] / 255, 2, axis=1), rtol=1e-6)


def test_figures_are_drawn_and_saved(
    data: FashionMNISTDataModule, predictions: Predictions, tmp_path: Path
) -> None:
    run = Run.create(tmp_path, "mlp")
    (run.path / "metrics.csv").write_text(
        "epoch,step,train/loss,train/accuracy,val/loss,val/accuracy\n0,4,2,0.3,1.9,0.4\n1,9,1,0.6,1.2,0.5\n"
    )
    drawn = outputs.draw_figures(run, predictions, data)
    assert drawn.keys() == {"curves", "confusion_matrix", "class_f1", "worst_errors", "augmented"}
    saved = {path.name for path in (run.path / "figures").iterdir()}
    assert saved == {f"{name}.png" for name in drawn}
    expected = metrics.f1_score(predictions.labels, predictions.logits.argmax(1), average=None)
    (axes,) = drawn["class_f1"].axes
    np.testing.assert_allclose([bar.get_width() for bar in axes.patches], expected, rtol=1e-6)


def test_principal_components_are_those_of_scikit_learn() -> None:
    features = torch.randn(50, 8, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 9)
    found = outputs.principal_components(features, largest=3)
    expected = PCA(3).fit_transform(features.numpy())
    assert found.shape == (50, 3)
    np.testing.assert_allclose(found.abs(), np.abs(expected), rtol=1e-3, atol=1e-3)
    assert outputs.principal_components(features).shape == (50, 8)


def test_curves_share_a_chart(tmp_path: Path) -> None:
    with SummaryWriter(str(tmp_path)) as writer:
        outputs.add_curve_charts(writer)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    layout = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    for name in ("loss", "accuracy"):
        assert f"train/{name}".encode() in layout
        assert f"val/{name}".encode() in layout


def test_a_compiled_network_is_drawn_too(data: FashionMNISTDataModule, tmp_path: Path) -> None:
    model = LitMLP(widths=(8,))
    model.network.compile(backend="eager")  # needs no compiler
    model(torch.rand(2, 1, 28, 28))
    run = Run.create(tmp_path, "compiled", metrics={})
    outputs.write_tensorboard(run, {}, model, data)
    events = [path for path in run.path.iterdir() if path.name.startswith("events")]
    assert any(EventAccumulator(str(path)).Reload().Tags()["graph"] for path in events)
