"""Small networks with random weights, and finished runs of them, made without training."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fmnist.core.images import to_input
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.explanation.selection import Selection, load_test_set
from fmnist.inference.predictor import Predictor
from fmnist.models.classifier import Classifier
from fmnist.models.cnn import LitCNN
from fmnist.models.lenet5 import LitLeNet5
from fmnist.models.mlp import LitMLP
from fmnist.models.resnet import LitResNet
from tests.inference import networks

MakeRun = Callable[..., Run]
NETWORKS: dict[str, tuple[type[Classifier], dict[str, Any]]] = {
    "lenet5": (LitLeNet5, {}),
    "cnn": (LitCNN, {"widths": [8, 16]}),
    "resnet": (LitResNet, {"depth": 8, "width": 4}),
}


def one_hot(classes: Sequence[int]) -> Tensor:
    """Return coefficients that ask for these classes, float32 (n, 10)."""
    return nn.functional.one_hot(torch.tensor(classes), 10).float()


def make_network(name: str) -> nn.Module:
    kind, arguments = NETWORKS[name]
    return networks.make_model(kind, **arguments).network


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    return make_network(request.param)


@pytest.fixture
def cnn() -> nn.Module:
    return make_network("cnn")


@pytest.fixture
def linear() -> nn.Sequential:
    """A network whose logits are linear in the pixels."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """Images uint8 (100, 28, 28), smooth enough that random networks answer differently."""
    coarse = torch.rand(100, 1, 7, 7, generator=torch.Generator().manual_seed(1))
    fine = nn.functional.interpolate(coarse, (28, 28), mode="bilinear")
    return (fine[:, 0] * 255).byte().numpy()


@pytest.fixture(scope="session")
def images(pixels: np.ndarray) -> Tensor:
    """The same as float images (100, 1, 28, 28)."""
    return to_input(torch.from_numpy(pixels))


@pytest.fixture
def make_run(synthetic_root: Path, tmp_path: Path) -> MakeRun:
    """Return a function that makes a finished run of an untrained CNN or MLP."""
    data = source.load(synthetic_root)
    split = {"split_seed": 0, "fold": 0, "train": 540, "val": 60, "test": 200}

    def make(model_class: type[Classifier] = LitCNN, name: str = "cnn", **record: Any) -> Run:
        widths = [8, 16] if model_class is LitCNN else [16]
        flips = {"flip_average": True} if record.get("flip_average") else {}
        run = networks.make_run(tmp_path / "logs", model_class, name, widths=widths, **flips)
        logits = Predictor(run).logits(data.test_images.numpy())
        run.save_predictions("test", Predictions(logits, data.test_labels.numpy(), np.arange(len(logits))))
        run.update(data_sha256=data.sha256, split=split, **record)
        return run

    return make


@pytest.fixture
def run(make_run: MakeRun) -> Run:
    return make_run()


@pytest.fixture
def mlp_run(make_run: MakeRun) -> Run:
    return make_run(LitMLP, "mlp")


@pytest.fixture
def estimator_run(make_run: MakeRun) -> Run:
    """A scikit-learn run; tests give its Predictor other logits."""
    return make_run(LitMLP, "svm", kind="scikit-learn", scores="decision scores")


@pytest.fixture
def test_set(run: Run, synthetic_root: Path) -> Selection:
    return load_test_set(run, str(synthetic_root))
