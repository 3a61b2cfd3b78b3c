"""Load a trained network from its run folder, read checkpoints safely, and apply networks to arrays.

Nothing here imports Lightning unless a ``Classifier`` is built, because that takes seconds.
"""

import importlib
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml
from torch import Tensor

from fmnist.core.errors import InputError, one_line, quoted
from fmnist.core.images import check_images, to_input
from fmnist.core.runs import network_file
from fmnist.models import weights

if TYPE_CHECKING:
    from fmnist.models.classifier import Classifier


def load_classifier(folder: Path) -> "Classifier":
    """Build the model of a run folder and load its best weights, on the CPU, ready to evaluate.

    Args:
        folder: Holds ``config.yaml`` and, in ``checkpoints/``, ``best.ckpt`` or ``weights.safetensors``.

    Raises:
        InputError: One of them is missing, damaged, or does not fit the other; or a weight is not finite.
    """
    model = _build(folder / "config.yaml")
    path = network_file(folder)
    try:
        if path.suffix == weights.SUFFIX:
            model.network.load_state_dict(weights.read(path)[0])
        else:
            model.load_state_dict(read_checkpoint(path)["state_dict"])
    except (RuntimeError, KeyError, TypeError) as error:
        raise InputError(f"{quoted(path)}: is of another network ({one_line(error)})") from None
    weights.check_finite(model, path)
    return model.eval()


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU: tensors and plain values, and only if its checksums are right.

    A checkpoint is a zip archive, which holds a CRC-32 of each entry. PyTorch gets a clean copy of the
    archive, because damaged headers can make its reader return wrong tensors without an error. Nothing in
    the file is executed.

    Raises:
        InputError: It is missing or damaged, or holds anything else.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{quoted(path)}: cannot be read ({error.strerror})") from None
    try:
        copy = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(copy, "w") as clean:
            for entry in archive.infolist():
                clean.writestr(entry.filename, archive.read(entry))  # raises if the checksum is wrong
        copy.seek(0)
        state = torch.load(copy, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(
            f"{quoted(path)}: is damaged or holds more than weights, and is not loaded"
        ) from None
    except Exception as error:  # damaged headers make the two readers raise nearly anything
        raise InputError(f"{quoted(path)}: is damaged ({one_line(error)})") from None
    if not isinstance(state, dict):
        raise InputError(f"{quoted(path)}: is damaged (holds no checkpoint)")
    return state


def _build(path: Path) -> "Classifier":
    from fmnist.models.classifier import Classifier

    try:
        config = yaml.safe_load(path.read_text())["model"]
        module, _, name = config["class_path"].rpartition(".")
        kind = getattr(importlib.import_module(module), name)
    except OSError as error:
        raise InputError(f"{quoted(path)}: cannot be read ({error.strerror})") from None
    except ImportError as error:
        raise InputError(
            f"{quoted(path)}: its model cannot be imported ({error}); is PYTHONPATH set?"
        ) from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{quoted(path)}: names no model ({one_line(error)})") from None
    if not (isinstance(kind, type) and issubclass(kind, Classifier)):
        raise InputError(f"{quoted(path)}: model.class_path {config['class_path']}: is not a Classifier")
    arguments: dict[str, Any] = config.get("init_args") or {}
    try:
        return kind(**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{quoted(path)}: does not fit {name} ({one_line(error)})") from None


def in_batches(
    function: Callable[[Tensor], Tensor],
    images: np.ndarray,
    batch_size: int = 500,
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """Apply a network, or a part of one, to many images, batch by batch.

    Args:
        function: Maps images, float32 (n, 1, 28, 28) in [0, 1], to values (n, ...).
        images: uint8 (N, 28, 28).
        batch_size: Images in a batch.
        device: Of the network.

    Returns:
        The values of all images, float32 (N, ...).

    Raises:
        InputError: The images have another shape or type.
    """
    check_images(images)
    with torch.inference_mode():
        values = [
            function(to_input(torch.from_numpy(part).to(device))).float().cpu()
            for part in np.split(images, range(batch_size, len(images), batch_size))
        ]
    return torch.cat(values).numpy()
