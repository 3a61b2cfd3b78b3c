"""Find the pixels of a garment in any picture with a small convolutional network, run by numpy alone.

The network is trained by ``fmnist.segmentation`` on rendered scenes. Without PyTorch, the processes that
prepare pictures start quickly and need little memory.
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from fmnist.core.images import to_float, to_uint8

WEIGHTS = Path(__file__).with_name("segmentation.npz")
SIDE = 96  # pixels, both sides, of what the network sees
LEAST_DEVIATION = 0.05  # added to the standard deviation that a picture is divided by

Weights = dict[str, np.ndarray]
"""By layer: ``NAME.weight`` (height, width, inputs, outputs) and ``NAME.bias`` (outputs,)."""


def garment_probability(picture: np.ndarray) -> np.ndarray:
    """Return the probability of each pixel to be garment, float32 (H, W), of a picture float32 (H, W, 3)."""
    image = Image.fromarray(to_uint8(picture)).resize((SIDE, SIDE), Image.Resampling.BOX)
    probability = 1 / (1 + np.exp(-logits(load_weights(), to_float(np.asarray(image)))))
    size = picture.shape[1], picture.shape[0]
    return np.asarray(Image.fromarray(probability).resize(size, Image.Resampling.BICUBIC))


@cache
def load_weights(path: Path = WEIGHTS) -> Weights:
    """Read the weights of the network, stored as float16."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: array.astype(np.float32) for name, array in arrays.items()}


def logits(weights: Weights, picture: np.ndarray) -> np.ndarray:
    """Return the network's logits of garment, float32 (96, 96), for a picture float32 (96, 96, 3) in [0, 1].

    This is the forward pass of ``fmnist.segmentation.network.SegmentationNetwork``, its batch normalisation
    being part of the weights.
    """

    def layer(name: str, x: np.ndarray) -> np.ndarray:
        return np.maximum(_convolve(x, weights[f"{name}.weight"], weights[f"{name}.bias"]), 0)

    x = (picture - picture.mean()) / (picture.std(ddof=1) + LEAST_DEVIATION)
    position = np.linspace(-1, 1, SIDE, dtype=np.float32)
    y, x_ = np.meshgrid(position, position, indexing="ij")
    x = np.concatenate([x, y[..., None], x_[..., None]], axis=2)
    half = SIDE // 2
    x = x.reshape(half, 2, half, 2, 5).transpose(0, 2, 4, 1, 3).reshape(half, half, 20)
    a = layer("encode1", x)  # (48, 48, 16)
    b = layer("encode2.1", layer("encode2.0", _pool(a)))  # (24, 24, 32)
    c = layer("encode3.1", layer("encode3.0", _pool(b)))  # (12, 12, 64)
    d = layer("encode4.2", layer("encode4.1", layer("encode4.0", _pool(c))))  # (6, 6, 128)
    c = layer("decode3", c + _enlarge(layer("reduce4", d)))
    b = layer("decode2", b + _enlarge(layer("reduce3", c)))
    a = layer("decode1", a + _enlarge(layer("reduce2", b)))
    out = _convolve(a, weights["head.weight"], weights["head.bias"])  # (48, 48, 4)
    return out.reshape(half, half, 2, 2).transpose(0, 2, 1, 3).reshape(SIDE, SIDE)


def _convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Convolve (H, W, inputs) with (k, k, inputs, outputs), k odd, padded by zeros: (H, W, outputs)."""
    kernel, (height, width, _) = len(weight), x.shape
    if kernel > 1:
        padded = np.pad(x, ((kernel // 2,) * 2, (kernel // 2,) * 2, (0, 0)))
        x = sliding_window_view(padded, (kernel, kernel), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    matrix = weight.reshape(-1, weight.shape[-1])
    return (x.reshape(height * width, -1) @ matrix + bias).reshape(height, width, -1)


def _pool(x: np.ndarray) -> np.ndarray:
    """Halve the resolution of (H, W, C) by the maximum of 2 x 2 pixels."""
    height, width, channels = x.shape
    return x.reshape(height // 2, 2, width // 2, 2, channels).max((1, 3))


def _enlarge(x: np.ndarray) -> np.ndarray:
    """Double the resolution of (H, W, C) by repeating pixels."""
    return x.repeat(2, axis=0).repeat(2, axis=1)
