"""Masked gradients: a closed form, and the same map from an exported file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.explanation import masked_gradients, traced
from fmnist.explanation.attribution import Explainer
from fmnist.inference import export, formats
from fmnist.models.classifier import Classifier
from fmnist.models.cnn import LitCNN
from fmnist.models.lenet5 import LitLeNet5
from fmnist.models.loading import load_classifier
from fmnist.models.mlp import LitMLP
from fmnist.models.resnet import LitResNet
from tests.explanation.conftest import one_hot
from tests.inference.networks import make_run


def test_a_linear_network_has_a_closed_form(linear: nn.Sequential, images: Tensor) -> None:
    maps = Explainer(linear, "masked-gradients")(images[:3], one_hot([4, 5, 6]))
    weights = linear[1].weight.detach()[[4, 5, 6]].view(3, 28, 28)
    pixels = images[:3, 0].numpy()
    removed = (
        pixels + pixels - gaussian_filter(pixels, (0, masked_gradients.BLUR, masked_gradients.BLUR))
    ) / 2
    expected = gaussian_filter(weights.numpy() * removed, (0, *[masked_gradients.SMOOTHING] * 2))
    np.testing.assert_allclose(maps.numpy(), expected, atol=1e-5)


def test_masks_keep_half_of_every_pixel() -> None:
    masks = masked_gradients.MaskedGradients(nn.Identity()).masks
    assert masks.shape == (masked_gradients.MASKS, 1, 28, 28)
    torch.testing.assert_close(masks.mean(0), torch.full((1, 28, 28), 0.5))
    assert len(masks.unique(dim=0)) == len(masks)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (LitMLP, {"widths": [16]}),
        (LitLeNet5, {}),
        (LitCNN, {"stem_width": 4, "widths": [4, 8]}),
        (LitResNet, {"depth": 8, "width": 4}),
    ],
)
def test_an_exported_file_gives_the_map(
    kind: type[Classifier], arguments: dict[str, object], tmp_path: Path, synthetic_root: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(export, "TIMED", {1: 1})
    run: Run = make_run(tmp_path / "logs", kind, **arguments)
    lines = export.export_run(run, "onnx", root=str(synthetic_root), with_map=traced.MAP)
    assert lines[2].startswith("same map as explain.py on 50 of them, within ")
    content = (run.path / "export" / "model.onnx").read_bytes()
    images = source.load(synthetic_root).test_images.numpy()[60:65]
    network = load_classifier(run.path).network
    logits = formats.FORMATS["onnx"].read(content)(export.as_input(images))
    expected = Explainer(network, "masked-gradients").maps(images, one_hot(logits.argmax(1)).numpy())
    largest = np.abs(expected).max()  # small, as the network is not trained
    assert largest > 0
    computed = formats.from_onnx(content, "map")(export.as_input(images))
    np.testing.assert_allclose(computed, expected, atol=1e-4 * largest)
