"""What is drawn after a training: augmented images, embeddings, the graph of the network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fmnist.core.runs import Run
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


def test_principal_components_are_those_of_scikit_learn() -> None:
    features = torch.randn(50, 8, generator=torch.Generator().manual_seed(0)) * torch.arange(1.0, 9)
    found = outputs.principal_components(features, largest=3)
    expected = PCA(3).fit_transform(features.numpy())
    assert found.shape == (50, 3)
    np.testing.assert_allclose(found.abs(), np.abs(expected), rtol=1e-3, atol=1e-3)
    assert outputs.principal_components(features).shape == (50, 8)


def test_a_compiled_network_is_drawn_too(data: FashionMNISTDataModule, tmp_path: Path) -> None:
    model = LitMLP(widths=(8,))
    model.network.compile(backend="eager")  # needs no compiler
    model(torch.rand(2, 1, 28, 28))
    run = Run.create(tmp_path, "compiled", metrics={})
    outputs.write_tensorboard(run, {}, model, data)
    events = [path for path in run.path.iterdir() if path.name.startswith("events")]
    assert any(EventAccumulator(str(path)).Reload().Tags()["graph"] for path in events)
