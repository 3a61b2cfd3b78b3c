"""What is particular to one network: its layers, the shapes between them, and what it refuses."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from fmnist.core.errors import InputError
from fmnist.models.cnn import CNN
from fmnist.models.layers import memory_format, parameter_count
from fmnist.models.lenet5 import LeNet5
from fmnist.models.networks import BasicBlock, PreactivationBlock, ResNet


def test_lenet5_has_the_layers_of_the_paper_in_order() -> None:
    shapes = [tuple(p.shape) for p in LeNet5().parameters() if p.ndim > 1]
    assert shapes == [(6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84)]
    kinds = [type(module) for module in LeNet5().body if not isinstance(module, nn.Flatten)][1:]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.AvgPool2d] * 2 + [nn.Linear, nn.ReLU] * 2
    assert LeNet5().features(torch.rand(3, 1, 28, 28)).shape == (3, 84)


@pytest.mark.parametrize(
    ("depth", "width", "block", "millions"),
    [(8, 16, "basic", 0.078), (20, 16, "basic", 0.272), (56, 16, "basic", 0.855), (20, 64, "basic", 4.33),
     (16, 64, "preactivation", 2.748), (28, 160, "preactivation", 36.48), (40, 64, "preactivation", 8.95)],
)  # fmt: skip
def test_sizes_are_those_of_the_papers(depth: int, width: int, block: Any, millions: float) -> None:
    with torch.device("meta"):
        network = ResNet(depth, width, block)
    assert parameter_count(network) / 1e6 == pytest.approx(millions, rel=0.005)
    weights = [p for p in network.parameters() if p.ndim > 1]
    shortcuts = [p for p in weights if p.shape[-2:] == (1, 1)]
    # a ResNet's depth counts the head and no shortcut, a Wide ResNet's its three shortcuts and not the head
    assert len(weights) - (len(shortcuts) if block == "basic" else 1) == depth


@pytest.mark.parametrize("block", [BasicBlock, PreactivationBlock])
def test_a_block_without_residual_is_its_shortcut(block: type[nn.Module]) -> None:
    layer = block(4, 4, 1, 0.0).eval()
    last = [m for m in layer.residual if hasattr(m, "weight")][-1]
    nn.init.zeros_(last.weight)
    x = torch.rand(2, 4, 7, 7)  # not negative, so that the basic block's last ReLU leaves it alone
    torch.testing.assert_close(layer(x), x)


def test_a_preactivation_block_projects_the_activated_input() -> None:
    layer = PreactivationBlock(4, 8, 2, 0.0).eval()
    nn.init.zeros_(layer.residual[-1].weight)
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(layer(x), layer.shortcut(layer.activate(x)))
    assert not torch.allclose(layer(x), layer.shortcut(x))


@pytest.mark.parametrize("block", ["basic", "preactivation"])
def test_every_residual_block_has_dropout(block: str) -> None:
    for dropout, expected in ((0.0, 0), (0.3, 3)):
        network = ResNet(8 if block == "basic" else 10, 4, block, dropout)
        layers = [m for m in network.modules() if isinstance(m, nn.Dropout)]
        assert [layer.p for layer in layers] == [dropout] * expected


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        (CNN, {"stem_width": 0}, "--model.stem_width 0: must be at least 1"),
        (CNN, {"widths": (8, -1)}, "--model.widths 8, -1: must be at least 1"),
        (CNN, {"widths": ()}, "--model.widths of 0 stages: must be 1 to 4"),
        (CNN, {"widths": (8,) * 5}, "--model.widths of 5 stages: must be 1 to 4"),
        (ResNet, {"depth": 18}, "--model.depth 18: basic blocks need 6n + 2, like 14 or 20"),
        (ResNet, {"depth": -4}, "--model.depth -4: basic blocks need 6n + 2"),
        (ResNet, {"block": "preactivation"}, "--model.depth 20: preactivation blocks need 6n + 4, like 16"),
    ],
)
def test_sizes_that_make_no_network_are_refused(
    network: Callable[..., nn.Module], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match="^" + re.escape(message)):
        network(**arguments)


@pytest.mark.parametrize("width", [4, 8])
def test_gradients_of_a_narrow_network_are_right(width: int) -> None:
    torch.manual_seed(0)
    network = ResNet(8, width).eval()
    images = torch.rand(5, 1, 28, 28)
    wanted = torch.autograd.grad(network.double()(images.double()).sum(), list(network.parameters()))
    network = network.float().to(memory_format=memory_format(network))
    assert (memory_format(network) == torch.contiguous_format) == (width < 8)
    for _ in range(3):  # the memory that oneDNN damaged was not always in use
        found = torch.autograd.grad(network(images).sum(), list(network.parameters()))
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a.double(), b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))
