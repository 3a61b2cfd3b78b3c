"""Test images rendered as photographs, their backgrounds, and their preparation."""

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.robustness.backgrounds import BACKGROUNDS
from fmnist.robustness.photographs import (
    KINDS,
    POLARITIES,
    prepared_photograph,
    prepared_photographs,
    render,
    silhouette,
)
from tests.synthetic import draw

SHAPE = (210, 300)


@pytest.fixture
def bag() -> np.ndarray:
    """A bag: a body with a white label on it, and a handle with an opening."""
    image = np.zeros((28, 28), np.uint8)
    image[10:26, 3:25] = 200
    image[16:18, 10:13] = 0  # the label
    image[3:10, 8:20] = 180
    image[5:10, 10:18] = 0  # the opening
    return image


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_a_background_is_a_float_picture_that_depends_on_its_seed(name: str) -> None:
    def background(seed: int) -> np.ndarray:
        return BACKGROUNDS[name](SHAPE, np.random.default_rng(seed))

    for seed in range(5):
        scene = background(seed)
        assert (scene.dtype, scene.shape) == (np.float32, (*SHAPE, 3))
        assert 0 <= scene.min() <= scene.max() <= 1
        np.testing.assert_array_equal(scene, background(seed))
        assert not np.array_equal(scene, background(seed + 1))


def test_each_kind_of_background_is_what_its_name_says() -> None:
    def mean_of(statistic: Callable[[np.ndarray], np.ndarray], name: str) -> float:
        scenes = [BACKGROUNDS[name](SHAPE, np.random.default_rng(seed)) for seed in range(20)]
        return float(np.mean([statistic(scene).mean() for scene in scenes]))

    steps = {name: mean_of(lambda scene: np.abs(np.diff(scene, axis=1)), name) for name in BACKGROUNDS}
    spread = {name: mean_of(lambda scene: scene.std((0, 1)), name) for name in BACKGROUNDS}
    assert spread["plain"] < 0.03 < spread["gradient"]
    assert max(steps["plain"], steps["gradient"]) < 0.004 < min(steps["striped"], steps["cluttered"])
    assert steps["noisy"] > 0.02
    assert spread["cluttered"] > 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_a_photograph_depends_on_image_kind_and_seed_alone(bag: np.ndarray, kind: str) -> None:
    shapes = set()
    for seed in range(3):
        photograph = render(bag, kind, seed)
        assert (photograph.dtype, photograph.shape[2]) == (np.uint8, 3)
        assert all(200 <= side <= 800 for side in photograph.shape[:2])
        np.testing.assert_array_equal(photograph, render(bag, kind, seed))
        shapes.add(photograph.shape)
    assert len(shapes) == 3
    assert render(np.zeros((28, 28), np.uint8), kind, 0).ndim == 3  # no garment at all


def test_the_garment_is_the_same_on_every_background(bag: np.ndarray) -> None:
    for seed in range(4):
        photographs = np.stack([render(bag, name, seed) for name in BACKGROUNDS]).astype(float)
        differences = np.ptp(photographs, axis=0).max(2)
        assert 0.1 < (differences < 40).mean() < 0.75  # the garment; noise stays below 40
        assert differences.mean() > 30  # the backgrounds


def test_small_holes_are_cloth_and_large_ones_are_not(bag: np.ndarray) -> None:
    garment = silhouette(bag)
    assert garment[16:18, 10:13].all()
    assert not garment[5:10, 10:18].any()
    assert garment[12:15].any(1).all()
    assert not garment[0].any()
    bag[0, 0] = 200  # dirt
    assert not silhouette(bag)[0, 0]
    assert silhouette(np.full((28, 28), 30, np.uint8)).all()
    assert not silhouette(np.zeros((28, 28), np.uint8)).any()


def test_dark_cloth_is_darker_than_white_cloth_which_stays_visible(bag: np.ndarray) -> None:
    for seed in range(4):
        white, dark = (
            render(np.where(bag > 0, level, 0).astype(np.uint8), "plain", seed).astype(float)
            for level in (30, 250)
        )
        assert np.quantile((white - dark).mean(2), 0.95) > 100


def test_a_product_photograph_is_the_negative_on_light_paper(bag: np.ndarray) -> None:
    for seed in range(6):
        photograph = render(bag, "product", seed)
        np.testing.assert_array_equal(render(bag, "negative", seed), 255 - photograph)
        grey = photograph.mean(2)
        assert np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]).min() > 205
        rows, columns = (np.flatnonzero((grey < 150).any(axis)) for axis in (1, 0))
        cut = Image.fromarray(grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        small = 255 - np.asarray(cut.resize((22, 23), Image.Resampling.BOX))
        assert np.corrcoef(small.ravel(), bag[3:26, 3:25].ravel())[0, 1] > 0.9
    assert render(np.zeros_like(bag), "product", 0).std() < 8


def test_unknown_kinds_and_wrong_images_are_refused(bag: np.ndarray) -> None:
    with pytest.raises(InputError, match="photograph 'beach': must be one of product, negative, plain"):
        render(bag, "beach", 0)
    for wrong in (bag / 255, bag[None], bag[:20]):
        with pytest.raises(InputError, match="must be uint8"):
            render(wrong, "plain", 0)


def test_several_processes_prepare_the_same_photographs_as_one() -> None:
    images = draw(np.array([0, 8]), np.random.default_rng(0))
    one, several = (prepared_photographs(images, np.array([3, 4]), processes) for processes in (1, 2))
    assert tuple(one) == tuple(several) == KINDS
    for kind in KINDS:
        assert (one[kind].images.shape, one[kind].images.dtype) == ((2, 28, 28), np.uint8)
        for single, parallel in zip(one[kind], several[kind], strict=True):
            np.testing.assert_array_equal(single, parallel)
    for kind, polarity in POLARITIES.items():
        assert one[kind].polarities.tolist() == [polarity] * 2
    image, polarity = prepared_photograph(images[1], "striped", 4)
    np.testing.assert_array_equal(one["striped"].images[1], image)
    assert one["striped"].polarities[1] == polarity


def test_a_process_that_renders_loads_no_network() -> None:
    code = "import sys, fmnist.robustness.photographs; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "False"
