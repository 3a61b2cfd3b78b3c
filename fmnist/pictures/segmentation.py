"""A garment before a background that is not smooth: stripes, patterns, a room full of things.

A photographer puts a garment in the middle and leaves room around it. That is where both ways begin; then
colours that are found more often inside than outside are garment, and neighbours of one colour go together.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from fmnist.core.errors import InputError
from fmnist.pictures.background import border_of

SMALL_SIDE = 112  # longest side that is segmented
MIDDLE = 0.16
"""Standard deviation of the place of a garment, in sides of the picture."""
BINS = (8, 20, 20)  # of lightness and two colour differences
BLUR = (1.0, 0.8, 0.8)  # of the histograms, in bins
COLOURS = 1.5  # weights of the evidence: colours, each of four neighbours,
NEIGHBOURS = 0.5
PLACE = (0.7, 0.25)  # and place, which counts less from round to round: its decay, and what remains
ROUNDS = 6  # of counting colours
VOTES = 8  # of neighbours in each round
GRABCUT_ROUNDS = 3


def segment(picture: np.ndarray) -> np.ndarray:
    """Return where objects are, bool (H, W), in a picture float32 (H, W, 3) in [0, 1]."""
    small = _reduced(picture)
    return _enlarged(_chance_of_garment(small) > 0.5, picture.shape)


def grabcut(picture: np.ndarray) -> np.ndarray:
    """Return what OpenCV's GrabCut (Rother et al. 2004) makes of ``segment``'s answer, bool (H, W).

    Raises:
        InputError: OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError:
        raise InputError(
            "cut_out 'grabcut': needs OpenCV, which is not installed: pip install opencv-python-headless"
        ) from None
    small = _reduced(picture)
    labels = np.where(_chance_of_garment(small) > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[border_of(small.shape)] = cv2.GC_BGD
    if (labels == cv2.GC_PR_FGD).any():
        cv2.setRNGSeed(0)
        outside, inside = np.zeros((1, 65)), np.zeros((1, 65))  # its colour models, for its own use
        pixels = np.round(small * 255).astype(np.uint8)
        unused = (0, 0, 1, 1)
        cv2.grabCut(pixels, labels, unused, outside, inside, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    return _enlarged(labels == cv2.GC_PR_FGD, picture.shape)


def _chance_of_garment(picture: np.ndarray) -> np.ndarray:
    """Return the chance of each pixel to be garment, float32 (H, W).

    A Markov random field over the pixels, solved by mean-field iteration: place, colour (histograms of
    inside and outside, counted anew each round), and neighbours, tied where no edge parts them.
    """
    place = _place(*picture.shape[:2])
    bins = _colour_bins(picture)
    down, right = _ties(picture)
    chance = 1 / (1 + np.exp(-place))
    for number in range(ROUNDS):
        inside = chance if number == 0 else np.where(chance > 0.5, 0.99, 0.01)
        weight = PLACE[1] + (1 - PLACE[1]) * PLACE[0] ** number
        evidence = weight * place + COLOURS * (_frequency(bins, inside) - _frequency(bins, 1 - inside))
        for _ in range(VOTES):
            vote = 2 * chance - 1
            field = evidence.copy()
            field[1:] += down * vote[:-1]
            field[:-1] += down * vote[1:]
            field[:, 1:] += right * vote[:, :-1]
            field[:, :-1] += right * vote[:, 1:]
            chance = 1 / (1 + np.exp(-np.clip(field, -30, 30)))
    return chance


def _place(height: int, width: int) -> np.ndarray:
    """Return the log-odds of garment by place alone: a bell over the middle, none at the border."""
    y = (np.arange(height) + 0.5) / height - 0.5
    x = (np.arange(width) + 0.5) / width - 0.5
    shorter = min(height, width)
    tall, wide = (height / shorter) ** 0.5, (width / shorter) ** 0.5
    bell = np.exp(-((y[:, None] * tall) ** 2 + (x * wide) ** 2) / (2 * MIDDLE**2))
    to_edge = np.minimum(0.5 - np.abs(y[:, None]), 0.5 - np.abs(x)) / 0.06
    chance = np.clip(0.85 * bell, 0.02, 0.85) * np.clip(to_edge, 0.02, 1)
    return np.log(chance / (1 - chance)).astype(np.float32)


def _colour_bins(picture: np.ndarray) -> np.ndarray:
    """Return the number of each pixel's colour, int (H, W): lightness, red to green, yellow to blue.

    The differences are relative to the lightness, so cloth keeps them in its folds.
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


def _frequency(bins: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the logarithm of how frequent each pixel's colour is, float32 (H, W)."""
    counts = np.bincount(bins.ravel(), weights.ravel(), minlength=int(np.prod(BINS)))
    smooth = ndimage.gaussian_filter(counts.reshape(BINS), BLUR) / weights.sum()
    return np.log(smooth + 1e-5).astype(np.float32).ravel()[bins]


def _ties(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how much vertical (H - 1, W) and horizontal (H, W - 1) neighbours go together."""
    down, right = ((np.diff(picture, axis=axis) ** 2).sum(axis=2) for axis in (0, 1))
    mean = (down.sum() + right.sum()) / (down.size + right.size) + 1e-6
    return NEIGHBOURS * np.exp(-down / (2 * mean)), NEIGHBOURS * np.exp(-right / (2 * mean))


def _reduced(picture: np.ndarray) -> np.ndarray:
    image = Image.fromarray(np.round(picture * 255).astype(np.uint8))
    scale = SMALL_SIDE / max(image.size)
    if scale < 1:
        size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
        image = image.resize(size, Image.Resampling.BOX)
    return np.asarray(image, np.float32) / 255


def _enlarged(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Bring a mask back to (H, W), smoothly and without whiskers."""
    image = Image.fromarray(mask.astype(np.float32)).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return ndimage.binary_opening(np.asarray(image) > 0.5, iterations=2)
