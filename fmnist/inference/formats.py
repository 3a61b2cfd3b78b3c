"""The export formats: a captured network to the bytes of one file, and such bytes to a function."""

import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor
    from torch.export import ExportedProgram

NetworkFunction = Callable[["np.ndarray"], "np.ndarray"]
"""Of images float32 (N, 1, 28, 28) in [0, 1]; returns logits float32 (N, 10)."""

OPSET = 20  # the first with GELU as one operator; ONNX Runtime 1.18 (2024) and newer run such files
OUTPUTS = ["logits", "map"]  # the second only with --with-map
METADATA = "metadata.json"  # its name within a .pt2


@dataclass(frozen=True)
class Format:
    """One export format.

    Attributes:
        runtime: What runs its files.
        suffix: How its files end.
        packages: What it needs besides PyTorch, all part of the extra ``export``.
        write: From the captured network and the metadata to the content of a file.
        read: From that content to a function, on the CPU with as many threads as PyTorch has.
    """

    runtime: str
    suffix: str
    packages: tuple[str, ...]
    write: "Callable[[ExportedProgram, dict[str, str]], bytes]"
    read: Callable[[bytes], NetworkFunction]


# The functions import what they need themselves: the help text lists FORMATS and must not wait for torch.


def _to_onnx(program: "ExportedProgram", metadata: dict[str, str]) -> bytes:
    import torch

    exported = torch.onnx.export(
        program, dynamo=True, opset_version=OPSET, verbose=False,
        input_names=["images"], output_names=OUTPUTS[: len(program.graph_signature.user_outputs)],
        dynamic_shapes=({0: "batch"},),
    )  # fmt: skip
    assert exported is not None
    model = exported.model_proto
    _prepare_for_quantization(model)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def _prepare_for_quantization(model: Any) -> None:
    """Leave out the shapes of weights, and let no two Gemms share any: quantisation transposes them."""
    weights = {weight.name: weight for weight in model.graph.initializer}
    activations = [value for value in model.graph.value_info if value.name not in weights]
    del model.graph.value_info[:]
    model.graph.value_info.extend(activations)
    used: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Gemm" and (name := node.input[1]) in used & weights.keys():
            node.input[1] = f"{name}.{node.name}"
            model.graph.initializer.add().CopyFrom(weights[name])
            model.graph.initializer[-1].name = node.input[1]
        used.update(node.input)


def from_onnx(content: bytes, output: str = "logits") -> NetworkFunction:
    """Return one of ``OUTPUTS`` of an ONNX file as a function of its images; maps are float32 (N, 28, 28)."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run([output], {"images": images})[0]


def _to_torch(program: "ExportedProgram", metadata: dict[str, str]) -> bytes:
    import torch

    file = io.BytesIO()
    with warnings.catch_warnings():  # about weights whose channels lie innermost; they are saved whole
        warnings.filterwarnings("ignore", "No complete tensor found")
        torch.export.save(program, file, extra_files={METADATA: json.dumps(metadata, indent=2)})
    return file.getvalue()


def _from_torch(content: bytes) -> NetworkFunction:
    import torch

    return on_arrays(torch.export.load(io.BytesIO(content)).module())


def on_arrays(function: "Callable[[Tensor], Tensor]") -> NetworkFunction:
    """Return a function of tensors as one of arrays, without gradients."""
    import torch

    def apply(images: "np.ndarray") -> "np.ndarray":
        with torch.inference_mode():
            return function(torch.from_numpy(images)).numpy()

    return apply


FORMATS = {
    "onnx": Format("ONNX Runtime", ".onnx", ("onnx", "onnxscript", "onnxruntime"), _to_onnx, from_onnx),
    "torch": Format("torch.export", ".pt2", (), _to_torch, _from_torch),
}
"""Every format by the name that ``--format`` takes; the first is the default."""
