"""The networks that are measured: each with its shipped configuration."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fmnist.core.commands import shipped_path

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Measured:
    """A network with the configuration that trains it.

    Attributes:
        title: As tables name it.
        config: Path of its YAML.
        images: Training images of an epoch that takes seconds, not minutes.
        validation: Images that each epoch validates.
    """

    title: str
    config: str
    images: int
    validation: int = 5_000

    @property
    def settings(self) -> dict[str, Any]:
        """The content of the YAML."""
        return yaml.safe_load(Path(shipped_path(self.config)).read_text(encoding="utf-8"))

    def build(self) -> "nn.Module":
        """Return a fresh network."""
        from fmnist.models import networks

        settings = self.settings["model"]
        kind = getattr(networks, settings["class_path"].rpartition(".")[2].removeprefix("Lit"))
        names = kind.__init__.__annotations__
        return kind(**{name: value for name, value in settings["init_args"].items() if name in names})


NETWORKS = (
    Measured("MLP", "configs/mlp.yaml", 55_000),
    Measured("LeNet-5", "configs/lenet5.yaml", 20_000),
    Measured("CNN", "configs/cnn.yaml", 5_000),
    Measured("ResNet-8", "configs/resnet.yaml", 2_500),
)
