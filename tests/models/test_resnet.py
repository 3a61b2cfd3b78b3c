"""Depth, width and parameters of the residual networks; the large ones on the meta device, at no cost."""

import pytest
import torch

from fmnist.core.errors import InputError
from fmnist.models.layers import parameter_count
from fmnist.models.resnet import BasicBlock, LitResNet, PreactivationBlock, ResNet


def basic_parameters(depth: int, width: int) -> int:
    """Return the closed form for basic blocks with projection shortcuts."""
    blocks, channels, total = (depth - 2) // 6, width, 9 * width + 2 * width
    for outputs in (width, 2 * width, 4 * width):
        for _ in range(blocks):
            total += 9 * channels * outputs + 9 * outputs**2 + 4 * outputs
            total += (channels * outputs + 2 * outputs) if channels != outputs else 0
            channels = outputs
    return total + 4 * width * 10 + 10


def wide_parameters(depth: int, factor: int) -> int:
    """Return the closed form for preactivation blocks; the stem has 16 channels and shortcuts no norm."""
    blocks, channels, total = (depth - 4) // 6, 16, 9 * 16
    for outputs in (16 * factor, 32 * factor, 64 * factor):
        for _ in range(blocks):
            total += 2 * channels + 9 * channels * outputs + 2 * outputs + 9 * outputs**2
            total += channels * outputs if channels != outputs else 0
            channels = outputs
    return total + 2 * channels + channels * 10 + 10


@pytest.mark.parametrize(
    ("depth", "width", "millions"), [(8, 16, 0.08), (20, 16, 0.27), (56, 16, 0.86), (20, 64, 4.33)]
)
def test_parameters_of_basic_blocks(depth: int, width: int, millions: float) -> None:
    with torch.device("meta"):
        network = ResNet(depth, width)
    assert parameter_count(network) == basic_parameters(depth, width)
    assert parameter_count(network) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize(("depth", "factor", "millions"), [(16, 4, 2.75), (28, 10, 36.5), (40, 4, 8.95)])
def test_parameters_of_the_wide_resnets(depth: int, factor: int, millions: float) -> None:
    with torch.device("meta"):
        network = ResNet(depth, 16 * factor, "preactivation")
    assert parameter_count(network) == wide_parameters(depth, factor)
    assert parameter_count(network) / 1e6 == pytest.approx(millions, rel=0.005)


@pytest.mark.parametrize(
    ("depth", "block"), [(8, "basic"), (20, "basic"), (10, "preactivation"), (16, "preactivation")]
)
def test_depth_counts_the_weighted_layers(depth: int, block: str) -> None:
    with torch.device("meta"):
        weights = [p for p in ResNet(depth, 32, block).parameters() if p.ndim > 1]
    shortcuts = [p for p in weights if p.shape[-2:] == (1, 1)]
    # a ResNet's depth counts the head and no shortcut, a Wide ResNet's its three shortcuts and not the head
    assert len(weights) - (len(shortcuts) if block == "basic" else 1) == depth


def test_stages_halve_the_picture_and_double_the_channels() -> None:
    network, shapes = ResNet(8, 4).eval(), []
    for block in network.modules():
        if isinstance(block, BasicBlock):
            block.register_forward_hook(
                lambda _block, _inputs, output: shapes.append(tuple(output.shape[1:]))
            )
    with torch.no_grad():
        features = network.features(torch.rand(2, 1, 28, 28))
    assert shapes == [(4, 28, 28), (8, 14, 14), (16, 7, 7)]
    assert features.shape == (2, 16)


@pytest.mark.parametrize("block", [BasicBlock, PreactivationBlock])
def test_a_block_without_residual_is_its_shortcut(block: type[torch.nn.Module]) -> None:
    layer = block(4, 4, 1, 0.0).eval()
    last = [m for m in layer.residual if hasattr(m, "weight")][-1]
    torch.nn.init.zeros_(last.weight)
    x = torch.rand(2, 4, 7, 7)  # not negative, so that the basic block's last ReLU leaves it alone
    torch.testing.assert_close(layer(x), x)


def test_a_preactivation_block_projects_what_was_activated() -> None:
    layer = PreactivationBlock(4, 8, 2, 0.0).eval()
    torch.nn.init.zeros_(layer.residual[-1].weight)
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(layer(x), layer.shortcut(layer.activate(x)))
    assert not torch.allclose(layer(x), layer.shortcut(x))


@pytest.mark.parametrize("block", ["basic", "preactivation"])
def test_dropout_lies_within_every_block(block: str) -> None:
    for dropout, expected in ((0.0, 0), (0.3, 3)):
        network = ResNet(8 if block == "basic" else 10, 4, block, dropout)
        layers = [m for m in network.modules() if isinstance(m, torch.nn.Dropout)]
        assert [layer.p for layer in layers] == [dropout] * expected


@pytest.mark.parametrize(
    ("depth", "block", "allowed"),
    [
        (18, "basic", "6n + 2, like 14 or 20"),
        (2, "basic", "6n + 2"),
        (-4, "basic", "6n + 2"),
        (20, "preactivation", "6n + 4, like 16 or 22"),
    ],
)
def test_a_depth_that_does_not_fit_is_refused(depth: int, block: str, allowed: str) -> None:
    with pytest.raises(InputError) as error:
        ResNet(depth, block=block)
    assert str(error.value).startswith(f"--model.depth {depth}: ")
    assert allowed in str(error.value)


def test_module_passes_its_arguments_on() -> None:
    model = LitResNet(10, 8, "preactivation", 0.2, momentum=0.5)
    assert parameter_count(model.network) == parameter_count(ResNet(10, 8, "preactivation"))
    assert model.hparams["block"] == "preactivation"
    assert model.hparams["momentum"] == 0.5
