"""Test images photographed and prepared again, in a pool of processes that never load a network."""

from collections.abc import Iterable

import numpy as np
from tqdm import tqdm

from fmnist.pictures import prepare, worker_pool
from fmnist.robustness.scenes import BACKGROUNDS, photograph, product_photograph

PRODUCT, NEGATIVE = "product", "negative"
KINDS = (PRODUCT, NEGATIVE, *BACKGROUNDS)
"""A product photograph, dark on light; its negative, light on dark; and the garment before backgrounds."""
POLARITIES = {PRODUCT: "dark-on-light", NEGATIVE: "light-on-dark"}
"""What is known of a rendering; in colour, a garment may be darker or lighter than what is behind it."""
CHUNK = 16  # images handed to a process at a time


def render(image: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """Return the picture of a garment, uint8 (H, W, 3), from its image, uint8 (28, 28)."""
    if kind in BACKGROUNDS:
        return photograph(image, kind, seed)
    picture = product_photograph(image, seed)
    return 255 - picture if kind == NEGATIVE else picture


def seen(image: np.ndarray, kind: str, seed: int) -> tuple[np.ndarray, str]:
    """Photograph a garment and prepare the picture as `scripts/predict.py` does.

    Returns:
        What a model gets to see, uint8 (28, 28), and the polarity that was found.
    """
    found = prepare(render(image, kind, seed))
    return found.image, found.polarity


def all_seen(
    images: np.ndarray, seeds: np.ndarray, processes: int | None = None, progress: bool = False
) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Return what models get to see of each kind of picture, and the polarities found.

    Args:
        images: uint8 (N, 28, 28).
        seeds: int (N,), one an image.
        processes: How many work at once; by default one a core, and 1 uses no other process.
        progress: Show a bar.
    """
    tasks = [(image, kind, int(seed)) for kind in KINDS for image, seed in zip(images, seeds, strict=True)]
    arguments = list(zip(*tasks, strict=True))

    def counted(results: Iterable[tuple[np.ndarray, str]]) -> list[tuple[np.ndarray, str]]:
        disable = None if progress else True
        return list(tqdm(results, "photographs", len(tasks), unit="picture", disable=disable))

    if processes == 1:
        results = counted(map(seen, *arguments))
    else:
        with worker_pool(processes) as pool:
            results = counted(pool.map(seen, *arguments, chunksize=CHUNK))
    size = len(images)
    parts = {kind: results[place * size : (place + 1) * size] for place, kind in enumerate(KINDS)}
    return {
        kind: (np.stack([image for image, _ in part]), [polarity for _, polarity in part])
        for kind, part in parts.items()
    }
