"""The weights of a network alone: a safetensors file that also says how to build the network."""

import hashlib
import importlib
import inspect
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from fmnist.core.errors import InputError, one_line, quoted
from fmnist.core.files import write_file
from fmnist.models.layers import evaluation_logits, memory_format

SUFFIX = ".safetensors"


def write(path: Path, network: nn.Module, settings: Mapping[str, Any]) -> None:
    """Write the weights of a network as float16, with its class, its arguments and a digest.

    An import must find the class. ``settings`` are the arguments of its LightningModule, among them those of
    the network, and ``flip_average``.
    """
    kind = type(network)
    arguments = {name: settings[name] for name in inspect.signature(kind).parameters if name in settings}
    tensors = {
        name: (values.half() if values.is_floating_point() else values).contiguous()
        for name, values in network.state_dict().items()
    }
    metadata = {
        "class_path": f"{kind.__module__}.{kind.__name__}",
        "init_args": json.dumps(arguments),
        "flip_average": json.dumps(bool(settings.get("flip_average"))),
        "sha256": _digest(tensors),
    }
    write_file(path, save(tensors, metadata))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read weights, as float32, and the metadata of their file; nothing in it is executed.

    Raises:
        InputError: It is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except Exception as error:  # missing; damaged headers raise nearly anything
        raise InputError(f"{quoted(path)}: is damaged or cannot be read ({one_line(error)})") from None
    if _digest(tensors) != metadata.get("sha256"):
        raise InputError(f"{quoted(path)}: is damaged (its weights do not have the digest that it names)")
    for name, values in tensors.items():
        if values.is_floating_point():
            tensors[name] = values.float()
    return tensors, metadata


def load(path: Path) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """Build the network that a file names and give it the weights, without Lightning.

    Returns:
        The network, on the CPU, ready to evaluate; and the function from images, float32 (N, 1, 28, 28) in
        [0, 1], to the logits (N, 10) that validation, test and prediction use.

    Raises:
        InputError: The file is missing or damaged, or its network cannot be built.
    """
    tensors, metadata = read(path)
    try:
        module, _, name = metadata["class_path"].rpartition(".")
        kind = getattr(importlib.import_module(module), name)
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):  # a call could do anything
            raise ValueError(f"{metadata['class_path']} is no network")
        network = kind(**json.loads(metadata["init_args"]))
        network.load_state_dict(tensors)
        flip_average = bool(json.loads(metadata["flip_average"]))
    except (ImportError, AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{quoted(path)}: its network cannot be built ({one_line(error)})") from None
    check_finite(network, path)
    network = network.to(memory_format=memory_format(network)).eval()
    return network, partial(evaluation_logits, network, flip_average=flip_average)


def check_finite(network: nn.Module, path: Path) -> None:
    """Refuse weights that are not finite.

    Raises:
        InputError: They are not; ``path``, their file, is named.
    """
    for name, values in network.state_dict().items():
        if not values.isfinite().all():
            raise InputError(
                f"{quoted(path)}: {name} is not finite, so the network gives no numbers; train it again"
            )


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors, by the order of their names; safetensors has no checksum of its own."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        values = tensors[name].contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
