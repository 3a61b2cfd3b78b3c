"""The network of the cut-out: numpy computes what PyTorch does, and finds drawn garments before clutter."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fmnist.core.files import write_arrays
from fmnist.pictures.segmentation import WEIGHTS, garment_probability, load_weights, logits, segment
from fmnist.segmentation.network import SegmentationNetwork, export_weights

from .drawn import overlap, shirt, shirt_mask


def test_numpy_computes_what_pytorch_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SegmentationNetwork()
    for module in network.modules():  # statistics and scales that are not those of a new network
        if isinstance(module, torch.nn.BatchNorm2d):
            for values in (module.running_mean, module.weight, module.bias):
                torch.nn.init.normal_(values, 0.5, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    write_arrays(tmp_path / "weights.npz", export_weights(network.eval()))
    picture = np.random.default_rng(0).random((96, 96, 3), np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(picture).permute(2, 0, 1)[None])[0, 0].numpy()
    computed = logits(load_weights(tmp_path / "weights.npz"), picture)
    assert computed == pytest.approx(expected, abs=0.01 * float(np.abs(expected).max()))  # stored as float16


def test_the_shipped_weights_are_small() -> None:
    assert WEIGHTS.stat().st_size < 1_000_000
    assert all(np.isfinite(values).all() for values in load_weights().values())


@pytest.mark.parametrize("colours", [((30, 30, 110), (200, 170, 120)), ((240, 240, 235), (120, 30, 40))])
def test_a_shirt_on_boards_is_found(colours: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    mask = shirt_mask()
    y, _ = np.mgrid[: mask.shape[0], : mask.shape[1]]
    boards = np.array(colours[1]) * (0.75 + 0.25 * (y // 30 * 7 % 5 / 4))[..., None] * (y % 30 > 1)[..., None]
    picture = shirt(colours[0], boards).astype(np.float32) / 255
    assert garment_probability(picture).shape == (96, 96)
    assert overlap(segment(picture), mask) > 0.85
