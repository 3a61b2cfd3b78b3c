"""A network as the bytes of one file, and such bytes as a function: ONNX and torch.export."""

import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from fmnist.core.errors import InputError
from fmnist.models.classifier import Classifier

Answer = Callable[[np.ndarray], np.ndarray]
"""Images float32 (N, 1, 28, 28) in [0, 1] to logits float32 (N, 10)."""

OPSET = 20  # the first with GELU as one operator; ONNX Runtime 1.18 (2024) and newer run such files
METADATA = "metadata.json"  # its name within a .pt2


@dataclass(frozen=True)
class Format:
    """One way to write a network down.

    Attributes:
        runtime: What runs it.
        suffix: How its files end.
        packages: What it needs besides PyTorch.
        write: From the captured network and the metadata to the content of a file.
        read: From that content to a function, on the CPU with as many threads as PyTorch has.
    """

    runtime: str
    suffix: str
    packages: tuple[str, ...]
    write: Callable[[ExportedProgram, dict[str, str]], bytes]
    read: Callable[[bytes], Answer]


class _Scores(nn.Module):
    """The logits that a run's predictions go by, as a module's ``forward``."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier.evaluation_logits(images)


def capture(classifier: Classifier) -> ExportedProgram:
    """Return the computation from images (N, 1, 28, 28) to logits (N, 10), for any N.

    Raises:
        InputError: torch.export cannot follow the network.
    """
    example = torch.zeros(2, 1, 28, 28)  # of one image, it would take the batch for a constant
    shapes = {"images": {0: Dim("batch")}}
    try:
        program = torch.export.export(_Scores(classifier).eval(), (example,), dynamic_shapes=shapes)
    except Exception as error:  # whatever a network of one's own provokes
        reason = " ".join(str(error).split())
        name = type(classifier).__name__
        raise InputError(
            f"{name}: torch.export cannot follow it for any batch size ({reason:.300})"
        ) from None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it would carry this machine's paths away
    return program


def answer_of(function: Callable[[Tensor], Tensor]) -> Answer:
    """Return a function of tensors as one of arrays, without gradients."""

    def answer(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return function(torch.from_numpy(images)).numpy()

    return answer


def _to_onnx(program: ExportedProgram, metadata: dict[str, str]) -> bytes:
    exported = torch.onnx.export(
        program, dynamo=True, opset_version=OPSET, verbose=False,
        input_names=["images"], output_names=["logits"], dynamic_shapes={"images": {0: "batch"}},
    )  # fmt: skip
    assert exported is not None
    model = exported.model_proto
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    return model.SerializeToString()


def _from_onnx(content: bytes) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0]


def _to_torch(program: ExportedProgram, metadata: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():  # about weights whose channels lie innermost; they are saved whole
        warnings.filterwarnings("ignore", "No complete tensor found")
        torch.export.save(program, file, extra_files={METADATA: json.dumps(metadata, indent=2)})
    return file.getvalue()


def _from_torch(content: bytes) -> Answer:
    return answer_of(torch.export.load(io.BytesIO(content)).module())


FORMATS = {
    "onnx": Format("ONNX Runtime", ".onnx", ("onnx", "onnxscript", "onnxruntime"), _to_onnx, _from_onnx),
    "torch": Format("torch.export", ".pt2", (), _to_torch, _from_torch),
}
