"""Small networks with weights of their own, and finished runs of them, made without training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from fmnist.core.runs import Predictions, Run
from fmnist.data import source
from fmnist.models.classifier import Classifier
from fmnist.models.cnn import CNN, LitCNN
from fmnist.models.lenet5 import LeNet5
from fmnist.models.loading import in_batches
from fmnist.models.mlp import LitMLP
from fmnist.models.resnet import ResNet

Make = Callable[..., Run]


def _network(name: str) -> nn.Module:
    torch.manual_seed(0)
    networks: dict[str, Callable[[], nn.Module]] = {
        "lenet5": LeNet5,
        "cnn": lambda: CNN(8, (8, 16)),
        "resnet": lambda: ResNet(8, 4),
        "preactivation": lambda: ResNet(10, 4, "preactivation"),
    }
    network = networks[name]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as if it had seen images
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval().to(memory_format=torch.channels_last)


@pytest.fixture(params=["lenet5", "cnn", "resnet", "preactivation"])
def network(request: pytest.FixtureRequest) -> nn.Module:
    return _network(request.param)


@pytest.fixture
def lenet5() -> nn.Module:
    return _network("lenet5")


@pytest.fixture
def cnn() -> nn.Module:
    return _network("cnn")


@pytest.fixture(scope="session")
def pixels() -> np.ndarray:
    """Images uint8 (100, 28, 28), smooth enough that random networks answer differently."""
    coarse = torch.rand(100, 1, 7, 7, generator=torch.Generator().manual_seed(1))
    fine = nn.functional.interpolate(coarse, (28, 28), mode="bilinear")
    return (fine[:, 0] * 255).byte().numpy()


@pytest.fixture
def make_run(synthetic_root: Path, tmp_path: Path) -> Make:
    """Return a function that makes a finished run of an untrained CNN or MLP."""

    def make(kind: type[Classifier] = LitCNN, name: str = "cnn", **record: Any) -> Run:
        arguments = {"widths": [8, 16]} if kind is LitCNN else {"widths": [16]}
        torch.manual_seed(0)
        model = kind(**arguments).eval()
        data = source.load(synthetic_root)
        run = Run.create(tmp_path / "logs", name, kind="lightning", data_sha256=data.sha256, **record)
        (run.path / "checkpoints").mkdir()
        config = {"model": {"class_path": f"{kind.__module__}.{kind.__name__}", "init_args": arguments}}
        (run.path / "config.yaml").write_text(yaml.safe_dump(config))
        torch.save({"state_dict": model.state_dict()}, run.path / "checkpoints" / "best.ckpt")
        logits = in_batches(model, data.test_images.numpy())
        run.save_predictions("test", Predictions(logits, data.test_labels.numpy(), np.arange(len(logits))))
        run.finish("finished")
        return run

    return make


@pytest.fixture
def mlp_run(make_run: Make) -> Run:
    return make_run(LitMLP, "mlp")
