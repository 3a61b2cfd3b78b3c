"""The network that finds the pixels of a garment, as PyTorch trains it."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fmnist.pictures.segmentation import LEAST_DEVIATION, SIDE, Weights

WIDTHS = (16, 32, 64, 128)  # channels at 48, 24, 12 and 6 pixels


def _layer(inputs: int, outputs: int, kernel_size: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class SegmentationNetwork(nn.Module):
    """A U-Net (Ronneberger et al. 2015, arXiv 1505.04597) of 502,000 parameters that adds what it skips.

    It sees the picture, standardised, and the position of each pixel.
    """

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = WIDTHS
        self.encode1 = _layer(4 * 5, a)
        self.encode2 = nn.Sequential(_layer(a, b), _layer(b, b))
        self.encode3 = nn.Sequential(_layer(b, c), _layer(c, c))
        self.encode4 = nn.Sequential(_layer(c, d), _layer(d, d), _layer(d, d))
        self.reduce4, self.reduce3, self.reduce2 = _layer(d, c, 1), _layer(c, b, 1), _layer(b, a, 1)
        self.decode3, self.decode2, self.decode1 = _layer(c, c), _layer(b, b), _layer(a, a)
        self.head = nn.Conv2d(a, 4, kernel_size=3, padding=1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits of garment (N, 1, 96, 96) for pictures float32 (N, 3, 96, 96) in [0, 1]."""
        deviation, mean = torch.std_mean(pictures, (1, 2, 3), keepdim=True)
        position = torch.linspace(-1, 1, SIDE, device=pictures.device)
        places = torch.stack(torch.meshgrid(position, position, indexing="ij"))
        places = places.expand(len(pictures), -1, -1, -1)
        x = torch.cat([(pictures - mean) / (deviation + LEAST_DEVIATION), places], 1)
        a = self.encode1(F.pixel_unshuffle(x, 2))  # (N, 16, 48, 48)
        b = self.encode2(F.max_pool2d(a, 2))
        c = self.encode3(F.max_pool2d(b, 2))
        d = self.encode4(F.max_pool2d(c, 2))  # (N, 128, 6, 6)
        c = self.decode3(c + F.interpolate(self.reduce4(d), scale_factor=2.0))
        b = self.decode2(b + F.interpolate(self.reduce3(c), scale_factor=2.0))
        a = self.decode1(a + F.interpolate(self.reduce2(b), scale_factor=2.0))
        return F.pixel_shuffle(self.head(a), 2)


def export_weights(network: SegmentationNetwork) -> Weights:
    """Return the weights for numpy, float16, with the batch normalisation of evaluation mode in them."""
    weights: Weights = {}
    for name, module in network.named_modules():
        match module:
            case nn.Sequential() if isinstance(module[0], nn.Conv2d) and isinstance(
                module[1], nn.BatchNorm2d
            ):
                convolution = fuse_conv_bn_eval(module[0], module[1])
            case nn.Conv2d() if module.bias is not None:  # the head
                convolution = module
            case _:
                continue
        assert convolution.bias is not None
        weights[f"{name}.weight"] = _to_float16(convolution.weight.permute(2, 3, 1, 0))
        weights[f"{name}.bias"] = _to_float16(convolution.bias)
    return weights


def _to_float16(values: Tensor) -> np.ndarray:
    return values.detach().numpy().astype(np.float16)
