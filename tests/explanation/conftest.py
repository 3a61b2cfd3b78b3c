"""Small networks with random weights, and finished runs of them, made without training."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from fmnist.core.images import to_input
from fmnist.core.runs import Predictions, Run
from fmnist.data import source
from fmnist.explanation.selection import Selection, load_test_set
from fmnist.models.classifier import Classifier
from fmnist.models.cnn import CNN, LitCNN
from fmnist.models.lenet5 import LeNet5
from fmnist.models.loading import in_batches
from fmnist.models.mlp import LitMLP
from fmnist.models.resnet import ResNet

MakeRun = Callable[..., Run]
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "lenet5": LeNet5,
    "cnn": lambda: CNN(8, (8, 16)),
    "resnet": lambda: ResNet(8, 4),
}


def one_hot(classes: Sequence[int]) -> Tensor:
    """Return coefficients that ask for these classes, float32 (n, 10)."""
    return nn.functional.one_hot(torch.tensor(classes), 10).float()


def make_network(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = NETWORKS[name]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as if it had seen images
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval().to(memory_format=torch.channels_last)


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    return make_network(request.param)


@pytest.fixture
def cnn() -> nn.Module:
    return make_network("cnn")


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

    def make(model_class: type[Classifier] = LitCNN, name: str = "cnn", **record: Any) -> Run:
        arguments = {"widths": [8, 16]} if model_class is LitCNN else {"widths": [16]}
        torch.manual_seed(0)
        model = model_class(**arguments).eval()
        split = {"split_seed": 0, "train": 540, "val": 60, "test": 200}
        fields = {"kind": "lightning", "data_sha256": data.sha256, "split": split}
        run = Run.create(tmp_path / "logs", name, **{**fields, **record})
        (run.path / "checkpoints").mkdir()
        class_path = f"{model_class.__module__}.{model_class.__name__}"
        config = {"model": {"class_path": class_path, "init_args": arguments}}
        (run.path / "config.yaml").write_text(yaml.safe_dump(config))
        torch.save({"state_dict": model.state_dict()}, run.path / "checkpoints" / "best.ckpt")
        logits = in_batches(model, data.test_images.numpy())
        run.save_predictions("test", Predictions(logits, data.test_labels.numpy(), np.arange(len(logits))))
        run.finish("finished")
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
