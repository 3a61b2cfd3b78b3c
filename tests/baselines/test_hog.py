"""Histograms of oriented gradients: closed forms and invariances."""

from typing import Any

import numpy as np
import pytest

from fmnist.baselines.hog import hog
from fmnist.core.errors import InputError


def ramp(angle: float) -> np.ndarray:
    """Return an image that grows brighter in a direction, counted from the right downwards."""
    y, x = np.mgrid[:28, :28] - 13.5
    return np.rint(127 + 4 * (x * np.cos(angle) + y * np.sin(angle))).astype(np.uint8)[None]


def histograms(image: np.ndarray) -> np.ndarray:
    """Return the shares in each block's eight bins, (4, 4, 8)."""
    return (hog(image, orientations=8, cell=7, block=1).reshape(4, 4, 8)) ** 2


def test_a_ramp_fills_the_bin_of_its_direction_or_the_two_beside_it() -> None:
    for direction in range(8):
        assert (histograms(ramp(direction * np.pi / 4))[..., direction] > 0.85).all()
    assert (histograms(ramp(np.pi / 8))[1:3, 1:3, :2] > 0.3).all()


def test_each_block_sums_to_one_except_flat_ones() -> None:
    image = np.random.default_rng(0).integers(256, size=(3, 28, 28)).astype(np.uint8)
    histogram = hog(image, orientations=6, cell=4, block=2)
    assert (histogram.shape, histogram.dtype) == ((3, 6 * 6 * 6 * 4), np.float32)
    sums = (histogram.reshape(3, 36, 24).astype(np.float64) ** 2).sum(-1)
    np.testing.assert_allclose(sums, 1, atol=2e-3)
    assert not hog(np.full((1, 28, 28), 200, np.uint8)).any()


def tents(pixels: list[int]) -> np.ndarray:
    """Return how much each of seven cells of four pixels sees of some of the 28 pixels."""
    centres = 4 * np.arange(7) + 1.5
    return np.maximum(0, 1 - np.abs(np.array(pixels)[:, None] - centres) / 4).sum(0)


def test_cells_are_tents_over_the_gradients() -> None:
    image = np.zeros((1, 28, 28), np.uint8)
    image[:, :, 10:] = 100  # the gradient is 100 to the right at columns 9 and 10, and 0 elsewhere
    shares = hog(image, orientations=4, cell=4, block=7)[0].reshape(4, 7, 7) ** 2
    expected = np.outer(tents(list(range(28))), tents([9, 10]))
    np.testing.assert_allclose(shares[0], expected / expected.sum(), atol=1e-4)
    assert not shares[1:].any()


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(256, size=(7, 28, 28)).astype(np.uint8)
    whole = hog(images)
    monkeypatch.setattr("fmnist.baselines.hog.BATCH", 3)
    np.testing.assert_allclose(hog(images), whole, atol=1e-6)


def test_several_cell_sizes_stand_side_by_side_and_count_alike() -> None:
    images = np.random.default_rng(0).integers(256, size=(2, 28, 28)).astype(np.uint8)
    both = hog(images, cell=[4, 2])
    assert np.array_equal(both[:, :1152], hog(images, cell=4))
    np.testing.assert_allclose(both[:, 1152:], hog(images, cell=2) * 6 / 13, atol=1e-6)
    np.testing.assert_allclose((both[:, :1152] ** 2).sum(1), (both[:, 1152:] ** 2).sum(1), rtol=1e-2)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"orientations": 1}, "hog orientations 1: must be at least 2"),
        ({"cell": 5}, "hog cell 5: must be a divisor of 28"),
        ({"cell": [4, 5]}, "hog cell 5: must be a divisor of 28"),
        ({"cell": []}, r"hog cell \[\]: must be a size, or a list of them"),
        ({"cell": [4, 14], "block": 3}, "hog block 3: must lie between 1 and 2"),
        ({"block": 8}, "hog block 8: must lie between 1 and 7"),
        ({"orientations": 8.0}, "hog orientations 8.0: must be a whole number"),
        ({"block": True}, "hog block True: must be a whole number"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        hog(np.zeros((1, 28, 28), np.uint8), **sizes)
