"""Drawn textures: their range, their shapes, and that a seed fixes them."""

import numpy as np
import pytest

from fmnist.data import textures
from fmnist.data.textures import TEXTURE_SIZE, draw_textures


def test_each_texture_goes_from_black_to_white() -> None:
    drawn = draw_textures(40, np.random.default_rng(0))
    assert drawn.dtype == np.float32
    assert drawn.shape == (40, TEXTURE_SIZE, TEXTURE_SIZE)
    assert (drawn.min((1, 2)) == 0).all()
    assert (drawn.max((1, 2)) == 1).all()


def test_a_seed_fixes_the_textures_and_another_changes_all() -> None:
    first, again, other = (draw_textures(16, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any((1, 2)).all()


def test_a_ramp_is_a_plane() -> None:
    ramp = textures.ramp(np.random.default_rng(0))
    down, right = ramp[1, 0] - ramp[0, 0], ramp[0, 1] - ramp[0, 0]
    assert np.hypot(down, right) == pytest.approx(1)
    rows, columns = np.mgrid[:TEXTURE_SIZE, :TEXTURE_SIZE]
    np.testing.assert_allclose(ramp, rows * down + columns * right, atol=1e-9)


def test_stripes_have_one_frequency_of_4_to_20_pixels() -> None:
    stripes = textures.stripes(np.random.default_rng(0))
    spectrum = np.abs(np.fft.fft2(stripes - stripes.mean(), (512, 512)))
    row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
    frequency = np.hypot(np.fft.fftfreq(512)[row], np.fft.fftfreq(512)[column])
    assert 1 / 21 < frequency < 1 / 3.9
