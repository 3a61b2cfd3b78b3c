"""On a GPU no step waits for the host: shown on PyTorch's fake tensors, which refuse to give their values.

They have shapes, types and devices but no values: ``.item()``, ``nonzero`` and boolean indexing raise. They
need no GPU, but automatic differentiation on a fake GPU does: training steps run on the fake CPU.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import yaml
from lightning.pytorch import Callback
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)

from fmnist.data.augmentation import Augmentation
from fmnist.data.augmenter import Augmenter
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.data.loaders import TrainLoader
from fmnist.models.classifier import Classifier
from fmnist.models.mlp import LitMLP
from fmnist.models.optimization import OptimizerName, build_optimizer
from tests.models.fitting import trainer

WAITS = (DataDependentOutputException, DynamicOutputShapeException)
CONFIGS = [
    yaml.safe_load(path.read_text()) for path in sorted(Path(__file__).parents[2].glob("configs/**/*.yaml"))
]
VARIANTS = ("residual", "block", "batch_norm", "flip_average")


def variant(model: dict[str, Any]) -> str:
    """Return a network's class with the arguments that change what it computes."""
    chosen = [f"{name}={value}" for name, value in model.get("init_args", {}).items() if name in VARIANTS]
    return " ".join([model["class_path"], *chosen])


MODELS = {variant(config["model"]): config["model"] for config in CONFIGS if "model" in config}
AUGMENTATIONS = {
    config["name"]: config["data"]["augmentation"]
    for config in CONFIGS
    if config.get("data", {}).get("augmentation")
}


def build(class_path: str, **arguments: Any) -> Classifier:
    module, _, name = class_path.rpartition(".")
    return getattr(importlib.import_module(module), name)(**arguments)


@pytest.fixture
def no_values() -> Iterator[None]:
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def test_there_is_something_to_check() -> None:
    assert {"fmnist.models.cnn.LitCNN", "fmnist.models.cnn.LitCNN residual=True"} <= MODELS.keys()
    assert {"robust"} <= AUGMENTATIONS.keys()


@pytest.mark.parametrize("optimizer", get_args(OptimizerName))
@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_needs_no_values(name: str, optimizer: OptimizerName) -> None:
    arguments = MODELS[name].get("init_args", {})
    model = build(MODELS[name]["class_path"], **{**arguments, "optimizer": optimizer})
    with FakeTensorMode() as mode:
        for module in model.network.modules():
            own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
            for name, value in own:
                setattr(module, name, mode.from_tensor(value))
        updates = build_optimizer(model.network, optimizer, 0.1, 0.1, 0.9, bf16=True)
        images, labels, indices = torch.rand(8, 1, 28, 28), torch.randint(0, 10, (8,)), torch.arange(8)
        for _ in range(2):  # the first one makes the optimiser's state
            updates.zero_grad()
            model.training_step((images, labels, indices), 0).backward()
            updates.step()


def batches(settings: Augmentation) -> list[tuple[Tensor, ...]]:
    """Return an epoch of augmented images on a fake GPU."""
    device = "cuda:0"
    images = torch.zeros(40, 28, 28, dtype=torch.uint8, device=device)
    labels = torch.zeros(40, dtype=torch.int64, device=device)
    indices = torch.arange(40, device=device)
    loader = TrainLoader(Augmenter(images, labels, settings, indices, seed=0), indices, 16, seed=0)
    loader.sampler.set_epoch(1)
    return list(loader)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.usefixtures("no_values")
def test_the_augmentation_of_every_configuration_needs_no_values(name: str) -> None:
    made = batches(Augmentation(**AUGMENTATIONS[name]))
    assert [(batch[0].shape, batch[0].device.type) for batch in made] == [((16, 1, 28, 28), "cuda")] * 2


@pytest.mark.usefixtures("no_values")
def test_mixing_needs_no_values() -> None:
    assert [batch[1].shape for batch in batches(Augmentation(mixup=0.2, cutmix=1.0))] == [(16, 10)] * 2


@pytest.mark.usefixtures("no_values")
def test_what_would_wait_is_noticed() -> None:
    values = torch.rand(3)
    with pytest.raises(WAITS):
        values.sum().item()
    with pytest.raises(WAITS):
        values.nonzero()
    with pytest.raises(WAITS):
        values[values > 0.5]


class RefuseToWait(Callback):
    """Makes CUDA raise where the host waits for the device, from the second step of an epoch to its last."""

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        torch.cuda.set_sync_debug_mode("default" if trainer.is_last_batch else "error")


@pytest.mark.gpu
def test_an_epoch_on_a_gpu_never_waits(synthetic_root: Path) -> None:
    settings = Augmentation(**AUGMENTATIONS["robust"])
    data = FashionMNISTDataModule(str(synthetic_root), batch_size=50, augmentation=settings)
    fit = trainer(RefuseToWait(), max_epochs=2, accelerator="gpu", devices=1)
    try:
        fit.fit(LitMLP([16], optimizer="muon"), data)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert fit.global_step > 2
