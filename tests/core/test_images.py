"""The conversions between bytes and floats, and what is refused as an image."""

import numpy as np
import pytest
import torch

from fmnist.core.errors import InputError
from fmnist.core.images import check_images, to_float, to_input, to_uint8

LEVELS = np.arange(256, dtype=np.uint8)


def test_every_level_is_divided_by_255_and_comes_back() -> None:
    floats = to_float(LEVELS.reshape(4, 64))
    assert floats.dtype == np.float32
    np.testing.assert_array_equal(floats, LEVELS.reshape(4, 64) / np.float32(255))
    levels = to_uint8(floats)
    assert levels.dtype == np.uint8
    np.testing.assert_array_equal(levels.ravel(), LEVELS)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_levels_are_rounded_and_clipped(kind: type) -> None:
    levels = np.array([-1, -0.001, 0.0019, 0.0021, 0.5, 0.999, 1.001, 7], kind)
    assert to_uint8(levels).tolist() == [0, 0, 0, 1, 128, 255, 255, 255]


def test_a_network_gets_a_channel_and_the_same_levels() -> None:
    images = torch.from_numpy(np.resize(LEVELS, (3, 28, 28)))
    before = images.clone()
    inputs = to_input(images)
    assert inputs.dtype == torch.float32
    assert inputs.shape == (3, 1, 28, 28)
    np.testing.assert_array_equal(inputs[:, 0].numpy(), to_float(images.numpy()))
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [((2, 28, 28), np.float32), ((28, 28), np.uint8), ((2, 784), np.uint8), ((2, 1, 28, 28), np.uint8),
     ((2, 28, 27), np.uint8), ((0, 28, 28), np.uint8), ((), np.uint8)],
)  # fmt: skip
def test_other_arrays_are_no_images(shape: tuple[int, ...], kind: type) -> None:
    with pytest.raises(InputError, match=r"must be uint8 \(N, 28, 28\), are " + np.dtype(kind).name):
        check_images(np.zeros(shape, kind))
    check_images(np.zeros((1, 28, 28), np.uint8))
