"""Find the pixels of a garment in front of any background, by a small network and the colours of the picture.

``fmnist.segmentation`` trains the network on rendered scenes. Here numpy runs it: without PyTorch, the
processes that prepare pictures start quickly and need little memory.
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image
from scipy import ndimage

from fmnist.core.images import to_float, to_uint8
from fmnist.pictures.geometry import shrink

WEIGHTS = Path(__file__).with_name("segmentation.npz")
SIDE = 96  # pixels, both sides, of what the network sees
LEAST_DEVIATION = 0.05  # added to the standard deviation that a picture is divided by

REFINED_SIDE = 112  # longest side of the picture whose colours are counted
BINS = (8, 20, 20)  # of lightness and two colour differences
BLUR = (1.0, 0.8, 0.8)  # standard deviation of the smoothing of the histograms, in bins
LEAST_PROBABILITY = 0.02  # and 1 less the greatest one: colours may overrule the network
NETWORK_WEIGHT = 0.4  # of the network's log-odds; the colours' weight is 1
LARGEST_EVIDENCE = 3.0  # of a colour
NEIGHBOUR_WEIGHT = 0.5  # of each of four neighbours
ROUNDS, STEPS = 2, 6  # in each round the colours are counted again

Weights = dict[str, np.ndarray]
"""By layer: ``NAME.weight`` (height, width, inputs, outputs) and ``NAME.bias`` (outputs,)."""


def segment(picture: np.ndarray) -> np.ndarray:
    """Return where the garment is, bool (H, W), in a picture float32 (H, W, 3) in [0, 1]."""
    return _refine(picture, garment_probability(picture))


def garment_probability(picture: np.ndarray) -> np.ndarray:
    """Return the network's probability of garment, float32 (96, 96), for a picture (H, W, 3) of any size."""
    image = Image.fromarray(to_uint8(picture)).resize((SIDE, SIDE), Image.Resampling.BOX)
    return 1 / (1 + np.exp(-logits(load_weights(), to_float(np.asarray(image)))))


def _refine(picture: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Return where the garment is, bool (H, W), by the network's probability, the colours and the neighbours.

    A Markov random field over the pixels, solved by mean-field iteration. A colour that is more frequent
    inside than outside is evidence of garment; neighbours count less across an edge. The constants were
    chosen by the accuracy on real photographs and on rendered ones of training images.
    """
    small = to_float(shrink(to_uint8(picture), REFINED_SIDE))
    image = Image.fromarray(probability).resize((small.shape[1], small.shape[0]), Image.Resampling.BICUBIC)
    inside = np.clip(np.asarray(image), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    network = NETWORK_WEIGHT * np.log(inside / (1 - inside))
    bins = _colour_bins(small)
    down, right = _neighbour_weights(small)
    for _ in range(ROUNDS):
        colour = _log_frequency(bins, inside) - _log_frequency(bins, 1 - inside)
        evidence = network + np.clip(colour, -LARGEST_EVIDENCE, LARGEST_EVIDENCE)
        for _ in range(STEPS):
            vote = 2 * inside - 1
            log_odds = evidence.copy()
            log_odds[1:] += down * vote[:-1]
            log_odds[:-1] += down * vote[1:]
            log_odds[:, 1:] += right * vote[:, :-1]
            log_odds[:, :-1] += right * vote[:, 1:]
            inside = 1 / (1 + np.exp(-log_odds))
        inside = np.where(inside > 0.5, 0.99, 0.01)
    return _enlarge_mask(inside > 0.5, picture.shape)


def _colour_bins(picture: np.ndarray) -> np.ndarray:
    """Return the histogram bin of each pixel's colour, int (H, W): lightness, red to green, yellow to blue.

    The two differences are relative to the lightness, so folds of the cloth do not change them.
    """
    red, green, blue = np.moveaxis(ndimage.gaussian_filter(picture, (0.7, 0.7, 0)), 2, 0)
    total = red + green + blue + 0.3
    scales = (
        (total - 0.3) / 3,
        0.5 + (red - green) / total / 1.2,
        0.5 + ((red + green) / 2 - blue) / total / 1.2,
    )
    numbers = [
        np.clip((scale * count).astype(int), 0, count - 1) for scale, count in zip(scales, BINS, strict=True)
    ]
    return np.ravel_multi_index(tuple(numbers), BINS)


def _log_frequency(bins: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the logarithm of how frequent each pixel's colour is, float32 (H, W)."""
    counts = np.bincount(bins.ravel(), weights.ravel(), minlength=int(np.prod(BINS)))
    smooth = ndimage.gaussian_filter(counts.reshape(BINS), BLUR) / weights.sum()
    return np.log(smooth + 1e-5).astype(np.float32).ravel()[bins]


def _neighbour_weights(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of vertical (H - 1, W) and horizontal (H, W - 1) pairs of neighbours."""
    down, right = ((np.diff(picture, axis=axis) ** 2).sum(axis=2) for axis in (0, 1))
    mean = (down.sum() + right.sum()) / (down.size + right.size) + 1e-6
    return NEIGHBOUR_WEIGHT * np.exp(-down / (2 * mean)), NEIGHBOUR_WEIGHT * np.exp(-right / (2 * mean))


def _enlarge_mask(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Bring a mask to (H, W), with a smooth outline and without thin lines."""
    image = Image.fromarray(mask.astype(np.float32)).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return ndimage.binary_opening(np.asarray(image) > 0.5, iterations=2)


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
