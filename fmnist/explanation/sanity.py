"""Compare maps while the network's layers are randomised one by one.

A map that hardly changes does not show what the network has learned.

Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps", arXiv 1810.03292.
"""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata
from torch import nn
from tqdm import tqdm

from fmnist.explanation.attribution import Explainer, upsample

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)


def cascade(
    explainers: Sequence[Explainer], images: np.ndarray, coefficients: np.ndarray, progress: bool = False
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Randomise a copy of a network layer by layer, from the head down, and compare its maps every time.

    Args:
        explainers: Of one network.
        images: uint8 (N, 28, 28).
        coefficients: float32 (N, 10), the same for every step.
        progress: Show a bar.

    Returns:
        The names of the layers in the order of randomising, and by method each image's rank correlation
        with the trained network's map after each of them, float64 (layers, N).
    """
    copies = copy.deepcopy(explainers)  # which share one copy of the network
    layers = layers_from_head(copies[0].network)
    trained = {each.name: _maps(each, images, coefficients) for each in copies}
    similarity: dict[str, list[np.ndarray]] = {each.name: [] for each in copies}
    for seed, (_, modules) in enumerate(tqdm(layers, "sanity", unit="layer", disable=not progress)):
        randomise(modules, seed)
        for each in copies:
            maps = _maps(each, images, coefficients)
            similarity[each.name].append(rank_correlation(trained[each.name], maps))
    return [name for name, _ in layers], {name: np.array(values) for name, values in similarity.items()}


def layers_from_head(network: nn.Module) -> list[tuple[str, list[Any]]]:
    """Return the layers with weights, the last first: name, and the layer with the norms that follow it."""
    layers: list[tuple[str, list[Any]]] = []
    for name, module in network.named_modules():
        if not hasattr(module, "reset_parameters"):
            continue
        if isinstance(module, NORMS) and layers:
            layers[-1][1].append(module)
        else:
            layers.append((name, [module]))
    return layers[::-1]


def randomise(modules: Iterable[Any], seed: int) -> None:
    """Draw the weights of modules as torch does when it makes them; norms also reset their statistics."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in modules:
            module.reset_parameters()


def rank_correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of the absolute values of maps (N, h, w), image by image, float64 (N,).

    A map of one value throughout has no order, and its correlation is 0.
    """
    ranks = [rankdata(np.abs(maps).reshape(len(maps), -1), axis=1) for maps in (one, other)]
    centred = [values - values.mean(1, keepdims=True) for values in ranks]
    product = np.prod([np.linalg.norm(values, axis=1) for values in centred], axis=0)
    return np.divide((centred[0] * centred[1]).sum(1), product, out=np.zeros(len(one)), where=product > 0)


def _maps(explainer: Explainer, images: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    return upsample(torch.from_numpy(explainer.maps(images, coefficients))).numpy()
