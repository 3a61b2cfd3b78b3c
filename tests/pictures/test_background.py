"""Smooth backgrounds are found exactly, whatever lies on them."""

import numpy as np
import pytest

from fmnist.pictures.background import border_of, smooth_background

Y, X = np.meshgrid(np.linspace(-1, 1, 80), np.linspace(-1, 1, 60), indexing="ij")


def test_the_border_is_a_frame() -> None:
    border = border_of((100, 50, 3))
    assert border.sum() == 100 * 50 - 96 * 46
    assert not border[2:-2, 2:-2].any()


@pytest.mark.parametrize("degree", [2, 4])
def test_a_polynomial_is_found_exactly(degree: int) -> None:
    exact = np.stack([0.5 + 0.2 * X, 0.4 - 0.1 * Y + 0.3 * X * Y, 0.3 + 0.2 * Y**2], axis=2).astype(
        np.float32
    )
    assert smooth_background(exact, np.ones((80, 60), bool), degree) == pytest.approx(exact, abs=1e-5)


def test_the_border_alone_says_what_lies_inside() -> None:
    exact = np.stack([0.5 + 0.2 * X, 0.4 - 0.1 * Y, 0.3 + 0.1 * X * Y], axis=2).astype(np.float32)
    picture = exact.copy()
    picture[20:60, 20:40] = 1
    assert smooth_background(picture, border_of(picture.shape), 2) == pytest.approx(exact, abs=1e-5)


def test_a_garment_that_touches_the_border_is_no_background() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, (80, 60, 3))
    picture = (0.8 + noise).astype(np.float32)
    picture[50:, 20:50] = (0.1, 0.2, 0.6)
    background = smooth_background(picture, border_of(picture.shape), 2)
    assert background == pytest.approx(np.full_like(picture, 0.8), abs=0.02)
