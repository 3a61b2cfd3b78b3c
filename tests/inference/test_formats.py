"""Every network, written in every format and read again, computes the same."""

import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

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


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> Any:
    for package in FORMATS[request.param].packages:
        pytest.importorskip(package)
    return FORMATS[request.param]


@pytest.mark.parametrize("name", MODELS)
def test_what_is_read_computes_the_same_for_any_batch_size(name: str, form: Any) -> None:
    kind, arguments = MODELS[name]
    model = make_model(kind, **arguments)
    content = form.write(capture(model), {"run": "small"})
    assert b"layers.py" not in content  # no path of this machine
    assert b"site-packages" not in content
    function = form.read(content)
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
    pytest.importorskip("onnxscript")
    content = FORMATS["onnx"].write(capture(make_model(LitLeNet5)), {"run": "small/é"})
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    assert {entry.key: entry.value for entry in model.metadata_props} == {"run": "small/é"}
    shapes = {
        value.name: [size.dim_value or size.dim_param for size in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"images": ["batch", 1, 28, 28], "logits": ["batch", 10]}


def test_a_pt2_holds_its_metadata() -> None:
    content = FORMATS["torch"].write(capture(make_model(LitLeNet5)), {"run": "small"})
    extra = {METADATA: ""}
    torch.export.load(io.BytesIO(content), extra_files=extra)
    assert json.loads(extra[METADATA]) == {"run": "small"}


class LitBranching(LitLeNet5):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if images.sum() > 0 else -images)


def test_a_network_that_cannot_be_followed_is_named() -> None:
    with pytest.raises(InputError, match=r"LitBranching: torch.export cannot follow it") as caught:
        capture(make_model(LitBranching))
    assert "\n" not in str(caught.value)
