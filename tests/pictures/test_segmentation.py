"""A garment before things of many colours, with and without OpenCV."""

import sys
from collections.abc import Callable

import numpy as np
import pytest

from fmnist.core.errors import InputError
from fmnist.pictures.segmentation import grabcut, segment

from .drawn import overlap, shirt, shirt_mask

MASK = shirt_mask(240, 260, side=190, top=20, left=40)


def clutter(seed: int) -> np.ndarray:
    """Return a wall of overlapping boxes in many colours, uint8 (240, 260, 3)."""
    generator = np.random.default_rng(seed)
    wall = np.full((240, 260, 3), 180, np.uint8)
    for _ in range(60):
        top, left = generator.integers(-20, 240), generator.integers(-20, 260)
        height, width = generator.integers(10, 60, 2)
        wall[max(top, 0) : top + height, max(left, 0) : left + width] = generator.integers(90, 256, 3)
    return wall


@pytest.mark.parametrize("way", [segment, grabcut])
def test_a_shirt_in_front_of_clutter_is_found(way: Callable[[np.ndarray], np.ndarray]) -> None:
    if way is grabcut:
        pytest.importorskip("cv2")
    for seed in range(3):
        picture = shirt((30, 30, 110), clutter(seed), MASK).astype(np.float32) / 255
        assert overlap(way(picture), MASK) > 0.85, seed


@pytest.mark.parametrize("way", [segment, grabcut])
def test_the_answer_is_the_same_each_time(way: Callable[[np.ndarray], np.ndarray]) -> None:
    if way is grabcut:
        pytest.importorskip("cv2")
    picture = shirt((200, 60, 60), clutter(3), MASK).astype(np.float32) / 255
    assert np.array_equal(way(picture), way(picture))


def test_without_opencv_grabcut_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match="pip install opencv-python-headless"):
        grabcut(np.zeros((60, 60, 3), np.float32))


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 150, 3), (300, 20, 3)])
def test_odd_shapes(shape: tuple[int, ...]) -> None:
    noise = np.random.default_rng(0).random(shape, np.float32)
    assert segment(noise).shape == shape[:2]
