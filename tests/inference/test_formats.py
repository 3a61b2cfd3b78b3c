"""Every network, written in every format and read again, computes the same."""

import functools
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fmnist.core.errors import InputError
from fmnist.inference.export import capture
from fmnist.inference.formats import FORMATS, METADATA, OPSET, on_arrays
from fmnist.models.classifier import Classifier
from fmnist.models.cnn import LitCNN
from fmnist.models.lenet5 import LitLeNet5
from fmnist.models.mlp import LitMLP
from fmnist.models.resnet import LitResNet
from tests.inference.networks import make_model

MODELS: dict[str, tuple[type[Classifier], dict[str, Any]]] = {
    "mlp": (LitMLP, {"widths": [16], "batch_norm": True}),
    "lenet5": (LitLeNet5, {}),
    "cnn-both-directions": (LitCNN, {"stem_width": 4, "widths": [8], "flip_average": True}),
    "resnet": (LitResNet, {"depth": 8, "width": 4}),
    "wide-resnet": (LitResNet, {"depth": 10, "width": 4, "block": "preactivation", "dropout": 0.3}),
}
IMAGES = np.random.default_rng(0).random((257, 1, 28, 28), dtype=np.float32)
GIVEN = {"run": "small/é"}


@functools.cache
def exported(name: str, form: str) -> tuple[Classifier, bytes]:
    """Return a network and its file; an export takes seconds."""
    for package in FORMATS[form].packages:
        pytest.importorskip(package)
    kind, arguments = MODELS[name]
    model = make_model(kind, **arguments)
    return model, FORMATS[form].write(capture(model), GIVEN)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", MODELS)
def test_what_is_read_computes_the_same_for_any_batch_size(name: str, form: str) -> None:
    model, content = exported(name, form)
    assert b"layers.py" not in content  # no path of this machine
    assert b"site-packages" not in content
    function = FORMATS[form].read(content)
    images = np.random.default_rng(0).random((9, 1, 28, 28), dtype=np.float32)
    expected = on_arrays(model.evaluation_logits)(images)
    assert expected.std(0).min() > 0  # the images matter
    for size in (1, 2, 9):
        logits = function(images[:size])
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, expected[:size], atol=1e-5)
    assert not np.allclose(function(images * 255), expected)  # [0, 1] goes in: normalisation is inside


def test_onnx_states_opset_names_and_metadata() -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load_from_string(exported("lenet5", "onnx")[1])
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert {entry.key: entry.value for entry in model.metadata_props} == GIVEN
    shapes = {
        value.name: [size.dim_value or size.dim_param for size in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"images": ["batch", 1, 28, 28], "logits": ["batch", 10]}


@pytest.fixture(scope="module", params=MODELS)
def onnx_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    path.write_bytes(exported(request.param, "onnx")[1])
    return path


def run_onnx(path: Path, images: np.ndarray) -> np.ndarray:
    return FORMATS["onnx"].read(path.read_bytes())(images)


def test_an_onnx_file_takes_a_large_and_an_empty_batch(onnx_file: Path) -> None:
    logits = run_onnx(onnx_file, IMAGES)
    np.testing.assert_allclose(logits[:9], run_onnx(onnx_file, IMAGES[:9]), atol=1e-5)
    assert run_onnx(onnx_file, IMAGES[:0]).shape == (0, 10)


def test_an_onnx_file_suits_the_oldest_runtime_allowed_and_has_one_description_of_each_weight(
    onnx_file: Path,
) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(onnx_file)
    assert model.ir_version <= 10  # of ONNX Runtime 1.18
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    shapes = {value.name for value in inferred.graph.value_info}
    assert {output for node in model.graph.node for output in node.output} - {"logits"} <= shapes
    assert not {weight.name for weight in model.graph.initializer} & {v.name for v in model.graph.value_info}
    assert not {"Gather", "Range"} & {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("how", ["dynamic", "static"])
def test_an_onnx_file_can_be_quantised(onnx_file: Path, how: str, tmp_path: Path) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")

    class Calibration(quantization.CalibrationDataReader):
        batches = iter([{"images": IMAGES[:64]}])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.batches, None)

    path = tmp_path / "quantised.onnx"
    if how == "dynamic":
        quantization.quantize_dynamic(onnx_file, path)
    else:
        quantization.quantize_static(onnx_file, path, Calibration())
    logits, quantised = run_onnx(onnx_file, IMAGES[:64]), run_onnx(path, IMAGES[:64])
    assert np.abs(quantised - logits).max() < 0.3 * np.ptp(logits)
    assert np.corrcoef(quantised.ravel(), logits.ravel())[0, 1] > 0.99


def test_an_onnx_file_can_be_halved(onnx_file: Path) -> None:
    onnx = pytest.importorskip("onnx")
    float16 = pytest.importorskip("onnxruntime.transformers.float16")
    halved = float16.convert_float_to_float16(onnx.load(onnx_file), keep_io_types=True)
    logits = FORMATS["onnx"].read(halved.SerializeToString())(IMAGES[:64])
    np.testing.assert_allclose(logits, run_onnx(onnx_file, IMAGES[:64]), atol=0.02)


def test_opencv_reads_an_onnx_file(onnx_file: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    network = cv2.dnn.readNetFromONNX(str(onnx_file))
    network.setInput(IMAGES[:3])
    np.testing.assert_allclose(network.forward(), run_onnx(onnx_file, IMAGES[:3]), atol=1e-4)


class LitComputed(LitLeNet5):
    """Multiplies twice by weights that it computes."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        weights = images.mean(0)[0, 9:19, 9:19]
        bias = torch.ones(10)
        return F.linear(F.linear(logits, weights, bias), weights, bias)


def test_weights_that_are_computed_can_be_shared() -> None:
    for package in FORMATS["onnx"].packages:
        pytest.importorskip(package)
    model = make_model(LitComputed)
    function = FORMATS["onnx"].read(FORMATS["onnx"].write(capture(model), {}))
    expected = on_arrays(model.evaluation_logits)(IMAGES[:3])
    np.testing.assert_allclose(function(IMAGES[:3]), expected, rtol=1e-4)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float64, torch.float16])
def test_a_pt2_refuses_images_of_another_type(kind: torch.dtype) -> None:
    network = torch.export.load(io.BytesIO(exported("lenet5", "torch")[1])).module()
    with pytest.raises(RuntimeError, match="dtype mismatch"):
        network(torch.zeros(2, 1, 28, 28, dtype=kind))


def test_a_pt2_holds_its_metadata() -> None:
    extra = {METADATA: ""}
    torch.export.load(io.BytesIO(exported("lenet5", "torch")[1]), extra_files=extra)
    assert json.loads(extra[METADATA]) == GIVEN


class LitBranching(LitLeNet5):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if images.sum() > 0 else -images)


def test_a_network_that_cannot_be_followed_is_named() -> None:
    with pytest.raises(InputError, match=r"LitBranching: torch.export cannot follow it") as caught:
        capture(make_model(LitBranching))
    assert "\n" not in str(caught.value)
