"""Find a garment in front of a background that is not smooth: stripes, patterns, other things.

Both methods start from the middle of the picture, where photographers put a garment. Then pixels whose
colours are more frequent inside than outside become garment, and similar neighbours are treated alike.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from fmnist.core.errors import InputError
from fmnist.core.images import to_float, to_uint8
from fmnist.pictures.geometry import border_mask, shrink

SMALL_SIDE = 112  # longest side that is segmented
PRIOR_WIDTH = 0.16
"""Standard deviation of a garment's position, relative to the side of the picture."""
BINS = (8, 20, 20)  # of lightness and two colour differences
BLUR = (1.0, 0.8, 0.8)  # standard deviation of the smoothing of the histograms, in bins
COLOUR_WEIGHT = 1.5
NEIGHBOUR_WEIGHT = 0.5  # of each of four neighbours
PRIOR_DECAY, PRIOR_FLOOR = 0.7, 0.25  # the weight of the position falls from 1 by this factor to this value
ROUNDS = 6  # in each the colours are counted again
STEPS = 8  # of mean-field iteration in each round
GRABCUT_ROUNDS = 3


def segment(picture: np.ndarray) -> np.ndarray:
    """Return where objects are, bool (H, W), in a picture float32 (H, W, 3) in [0, 1]."""
    small = _reduce(picture)
    return _enlarge(_garment_probability(small) > 0.5, picture.shape)


def grabcut(picture: np.ndarray) -> np.ndarray:
    """Refine ``segment``'s result with OpenCV's GrabCut (Rother et al. 2004); returns bool (H, W).

    Raises:
        InputError: OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError:
        raise InputError(
            "cut_out 'grabcut': needs OpenCV, which is not installed: pip install opencv-python-headless"
        ) from None
    small = _reduce(picture)
    labels = np.where(_garment_probability(small) > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[border_mask(small.shape)] = cv2.GC_BGD
    if (labels == cv2.GC_PR_FGD).any():
        cv2.setRNGSeed(0)
        outside, inside = np.zeros((1, 65)), np.zeros((1, 65))  # memory for GrabCut's colour models
        no_rectangle = (0, 0, 1, 1)
        cv2.grabCut(
            to_uint8(small), labels, no_rectangle, outside, inside, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK
        )
    return _enlarge(labels == cv2.GC_PR_FGD, picture.shape)


def _garment_probability(picture: np.ndarray) -> np.ndarray:
    """Return the probability of each pixel to be garment, float32 (H, W).

    A Markov random field over the pixels, solved by mean-field iteration. Its evidence is the position, the
    colour (histograms of inside and outside, counted again in each round) and the four neighbours, which
    count less across an edge.
    """
    prior = _position_log_odds(*picture.shape[:2])
    bins = _colour_bins(picture)
    down, right = _neighbour_weights(picture)
    probability = 1 / (1 + np.exp(-prior))
    for number in range(ROUNDS):
        inside = probability if number == 0 else np.where(probability > 0.5, 0.99, 0.01)
        weight = PRIOR_FLOOR + (1 - PRIOR_FLOOR) * PRIOR_DECAY**number
        colour = _log_frequency(bins, inside) - _log_frequency(bins, 1 - inside)
        evidence = weight * prior + COLOUR_WEIGHT * colour
        for _ in range(STEPS):
            vote = 2 * probability - 1
            log_odds = evidence.copy()
            log_odds[1:] += down * vote[:-1]
            log_odds[:-1] += down * vote[1:]
            log_odds[:, 1:] += right * vote[:, :-1]
            log_odds[:, :-1] += right * vote[:, 1:]
            probability = 1 / (1 + np.exp(-np.clip(log_odds, -30, 30)))
    return probability


def _position_log_odds(height: int, width: int) -> np.ndarray:
    """Return the log-odds of garment by position alone, float32 (H, W): a bell that ends at the border."""
    y = (np.arange(height) + 0.5) / height - 0.5
    x = (np.arange(width) + 0.5) / width - 0.5
    shorter = min(height, width)
    tall, wide = (height / shorter) ** 0.5, (width / shorter) ** 0.5
    gaussian = np.exp(-((y[:, None] * tall) ** 2 + (x * wide) ** 2) / (2 * PRIOR_WIDTH**2))
    to_edge = np.minimum(0.5 - np.abs(y[:, None]), 0.5 - np.abs(x)) / 0.06
    probability = np.clip(0.85 * gaussian, 0.02, 0.85) * np.clip(to_edge, 0.02, 1)
    return np.log(probability / (1 - probability)).astype(np.float32)


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


def _reduce(picture: np.ndarray) -> np.ndarray:
    return to_float(shrink(to_uint8(picture), SMALL_SIDE))


def _enlarge(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Bring a mask to (H, W), with a smooth outline and without thin lines."""
    image = Image.fromarray(mask.astype(np.float32)).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return ndimage.binary_opening(np.asarray(image) > 0.5, iterations=2)
