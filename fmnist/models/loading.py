"""Trained networks, built again from the folder that their training left."""

import hashlib
import importlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor

from fmnist.core.errors import InputError
from fmnist.models.classifier import Classifier


def load_classifier(folder: Path) -> Classifier:
    """Build the model of a run folder and load its best weights, on the CPU, ready to evaluate.

    Args:
        folder: Holds ``config.yaml`` and ``checkpoints/best.ckpt``.

    Raises:
        InputError: One of them is missing, damaged, or does not fit the other.
    """
    model = _build(folder / "config.yaml")
    path = folder / "checkpoints" / "best.ckpt"
    state = read_checkpoint(path)
    try:
        model.load_state_dict(state["state_dict"])
    except (RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: is of another network ({reason:.200})") from None
    return model.eval()


DIGEST_MARK = "sha256_beside_it"
"""Key of a checkpoint that was written together with its digest; those of before have neither."""


def digest_file(path: Path) -> Path:
    """Return where the SHA-256 of a checkpoint is kept, in the form that ``sha256sum`` writes."""
    return path.with_name(path.name + ".sha256")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU: tensors and plain values, and only if it is as it was written.

    Nothing that the file holds is executed.

    Raises:
        InputError: It is missing or damaged, holds anything else, does not match the digest beside it,
            or has lost that digest.
    """
    try:
        content = path.read_bytes()
        digests = digest_file(path).read_text().split() if digest_file(path).exists() else None
        if digests is not None and hashlib.sha256(content).hexdigest() not in digests:
            raise InputError(f"{path}: is damaged (its SHA-256 is not that of {digest_file(path).name})")
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except pickle.UnpicklingError:
        raise InputError(f"{path}: is damaged or holds more than weights, and is not loaded") from None
    except (RuntimeError, ValueError, EOFError, KeyError) as error:
        raise InputError(f"{path}: is damaged ({' '.join(str(error).split()):.200})") from None
    if not isinstance(state, dict):
        raise InputError(f"{path}: is damaged (holds no checkpoint)")
    if digests is None and DIGEST_MARK in state:
        raise InputError(
            f"{path}: its {digest_file(path).name} is missing, so nothing shows that it is whole; copy that, "
            f"too, or vouch for it: cd {path.parent} && sha256sum {path.name} > {digest_file(path).name}"
        )
    return state


def _build(path: Path) -> Classifier:
    try:
        config = yaml.safe_load(path.read_text())["model"]
        module, _, name = config["class_path"].rpartition(".")
        kind = getattr(importlib.import_module(module), name)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ImportError as error:
        raise InputError(f"{path}: its model is not to be found ({error}); is PYTHONPATH set?") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: names no model ({' '.join(str(error).split())})") from None
    if not (isinstance(kind, type) and issubclass(kind, Classifier)):
        raise InputError(f"{path}: model.class_path {config['class_path']}: is no Classifier")
    arguments: dict[str, Any] = config.get("init_args") or {}
    try:
        return kind(**arguments)
    except TypeError as error:
        raise InputError(f"{path}: does not fit {name} ({error})") from None


def in_batches(
    function: Callable[[Tensor], Tensor],
    images: np.ndarray,
    batch_size: int = 500,
    device: str | torch.device = "cpu",
) -> np.ndarray:
    """Apply a network, or a part of one, to images at rest.

    Args:
        function: Of images float32 (n, 1, 28, 28) in [0, 1]; returns (n, ...).
        images: uint8 (N, 28, 28).
        batch_size: Images at once.
        device: Where the function works.

    Returns:
        Its values, float32 (N, ...).

    Raises:
        InputError: The images have another shape or type.
    """
    check_images(images)
    with torch.inference_mode():
        values = [
            function(torch.from_numpy(part).to(device)[:, None].float().div_(255)).float().cpu()
            for part in np.split(images, range(batch_size, len(images), batch_size))
        ]
    return torch.cat(values).numpy()


def check_images(images: np.ndarray) -> None:
    """Refuse what are no images at rest, uint8 (N, 28, 28).

    Raises:
        InputError: They have another shape or type.
    """
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (28, 28) or not len(images):
        raise InputError(f"images: must be uint8 (N, 28, 28), are {images.dtype} {images.shape}")
