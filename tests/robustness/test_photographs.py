"""Photographs of test images, prepared again."""

import subprocess
import sys

import numpy as np
import pytest

from fmnist.robustness.photographs import KINDS, POLARITIES, all_seen, render, seen
from fmnist.robustness.scenes import product_photograph
from tests.synthetic import draw


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return draw(np.array([0, 8]), np.random.default_rng(0))


def test_a_negative_is_the_product_photograph_turned_to_light_on_dark(images: np.ndarray) -> None:
    picture = product_photograph(images[0], 5)
    np.testing.assert_array_equal(render(images[0], "product", 5), picture)
    np.testing.assert_array_equal(render(images[0], "negative", 5), 255 - picture)


def test_several_processes_see_what_one_sees(images: np.ndarray) -> None:
    one, several = (all_seen(images, np.array([3, 4]), processes) for processes in (1, 2))
    assert tuple(one) == tuple(several) == KINDS
    for kind in KINDS:
        np.testing.assert_array_equal(one[kind][0], several[kind][0])
        assert one[kind][0].shape == (2, 28, 28)
        assert one[kind][0].dtype == np.uint8
        assert one[kind][1] == several[kind][1]
    for kind, polarity in POLARITIES.items():
        assert one[kind][1] == [polarity] * 2
    image, _ = seen(images[1], "striped", 4)
    np.testing.assert_array_equal(one["striped"][0][1], image)


def test_a_process_that_renders_loads_no_network() -> None:
    code = "import sys, fmnist.robustness.photographs; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"
