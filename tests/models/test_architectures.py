"""What is particular to one network: its layers, the shapes between them, and what it refuses."""

import pytest
import torch
from torch import nn

from fmnist.core.errors import InputError
from fmnist.models.cnn import CNN
from fmnist.models.layers import parameter_count
from fmnist.models.lenet5 import LeNet5
from fmnist.models.mlp import MLP
from fmnist.models.resnet import BasicBlock, PreactivationBlock, ResNet


def test_mlp_features_are_the_last_hidden_layer() -> None:
    features = MLP((16, 12)).features(torch.rand(3, 1, 28, 28))
    assert features.shape == (3, 12)
    assert features.min() >= 0
    assert MLP(()).features(torch.rand(3, 1, 28, 28)).shape == (3, 784)


def test_dropout_acts_in_training_only() -> None:
    network, images = MLP((64,), dropout=0.5), torch.rand(2, 1, 28, 28)
    assert not torch.equal(network(images), network(images))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_lenet5_has_the_layers_of_the_paper_in_order() -> None:
    shapes = [tuple(p.shape) for p in LeNet5().parameters() if p.ndim > 1]
    assert shapes == [(6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (84, 120), (10, 84)]
    kinds = [type(module) for module in LeNet5().body if not isinstance(module, nn.Flatten)][1:]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.AvgPool2d] * 2 + [nn.Linear, nn.ReLU] * 2
    assert LeNet5().features(torch.rand(3, 1, 28, 28)).shape == (3, 84)


def test_each_stage_of_the_cnn_halves_the_resolution_after_its_first_convolution() -> None:
    network = CNN(8, (8, 12, 16)).eval()
    images = torch.rand(2, 1, 28, 28)
    maps = network.stem(images)
    assert maps.shape == (2, 8, 27, 27)
    for stage, shape in zip(network.stages, [(8, 13, 13), (12, 6, 6), (16, 3, 3)], strict=True):
        maps = stage(maps)
        assert maps.shape[1:] == shape
        half = [nn.BatchNorm2d, nn.GELU]
        assert [type(module) for module in stage] == [nn.Conv2d, nn.MaxPool2d, *half, nn.Conv2d, *half]
    torch.testing.assert_close(network.features(images), maps.amax((2, 3)))


@pytest.mark.parametrize(
    ("stem", "widths", "message"),
    [
        (0, (8,), "--model.stem_width 0: must be at least 1"),
        (8, (8, -1), "--model.widths 8, -1: must be at least 1"),
        (8, (), "--model.widths of 0 stages: must be 1 to 4"),
        (8, (8,) * 5, "--model.widths of 5 stages: must be 1 to 4"),
    ],
)
def test_sizes_that_make_no_cnn_are_refused(stem: int, widths: tuple[int, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CNN(stem, widths)


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


def test_stages_of_the_resnet_halve_the_resolution_and_double_the_channels() -> None:
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
