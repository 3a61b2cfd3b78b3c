"""Statistics between runs that answered for the same images."""

from typing import Any

import numpy as np

LEVEL = 0.05


def agreement(predicted: dict[str, np.ndarray]) -> np.ndarray:
    """Return the share of images on which two models say the same class, (M, M)."""
    answers = np.stack(list(predicted.values()))
    return np.array([(answers == row).mean(1) for row in answers])


def all_wrong(right: dict[str, np.ndarray]) -> np.ndarray:
    """Return the images that every model gets wrong, as places (k,)."""
    return np.flatnonzero(~np.stack(list(right.values())).any(0))


def only_right(right: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return for each model the images that it alone gets right, as places (k,)."""
    alone = np.stack(list(right.values())).sum(0) == 1
    return {name: np.flatnonzero(alone & hits) for name, hits in right.items()}


def sentence(pair: dict[str, Any]) -> str:
    """Say a pair's result in words."""
    numbers = (
        f"{points(pair['difference'])} points (95 % {points(pair['low'])} to {points(pair['high'])}), "
        f"{p_text(pair['p_holm'])}"
    )
    if pair["p_holm"] < LEVEL:
        return f"{pair['better']} is better than {pair['worse']}: {numbers}"
    return f"no difference between {pair['better']} and {pair['worse']} can be shown: {numbers}"


def points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    text = f"{100 * share:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text.replace("-", "−")


def p_text(p: float) -> str:
    """Return a p-value as journals print it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
