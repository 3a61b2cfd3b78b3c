"""Test images rendered as photographs, their backgrounds, and their preparation."""

import numpy as np
import pytest
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.robustness import rendered
from fmnist.robustness.backgrounds import BACKGROUNDS
from fmnist.robustness.rendered import (
    KINDS,
    POLARITIES,
    prepared_photograph,
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

    scene = background(0)
    assert (scene.dtype, scene.shape) == (np.float32, (*SHAPE, 3))
    assert 0 <= scene.min() <= scene.max() <= 1
    np.testing.assert_array_equal(scene, background(0))
    assert not np.array_equal(scene, background(1))


def test_each_kind_of_background_is_what_its_name_says() -> None:
    steps, spread = {}, {}
    for name, draw_background in BACKGROUNDS.items():
        scenes = np.stack([draw_background(SHAPE, np.random.default_rng(seed)) for seed in range(20)])
        steps[name], spread[name] = np.abs(np.diff(scenes, axis=2)).mean(), scenes.std((1, 2)).mean()
    assert spread["plain"] < 0.03 < spread["gradient"]
    assert max(steps["plain"], steps["gradient"]) < 0.004 < min(steps["striped"], steps["cluttered"])
    assert steps["noisy"] > 0.02
    assert spread["cluttered"] > 0.15


@pytest.mark.parametrize("kind", KINDS)
def test_a_photograph_depends_on_image_kind_and_seed_alone(bag: np.ndarray, kind: str) -> None:
    rendered = [render(bag, kind, seed) for seed in (0, 1, 0)]
    for photograph in rendered:
        assert (photograph.dtype, photograph.shape[2]) == (np.uint8, 3)
        assert all(200 <= side <= 800 for side in photograph.shape[:2])
    np.testing.assert_array_equal(rendered[0], rendered[2])
    assert rendered[0].shape != rendered[1].shape
    assert render(np.zeros((28, 28), np.uint8), kind, 0).ndim == 3  # no garment at all


def test_the_garment_is_the_same_on_every_background(bag: np.ndarray) -> None:
    for seed in range(2):
        rendered = np.stack([render(bag, name, seed) for name in BACKGROUNDS]).astype(float)
        differences = np.ptp(rendered, axis=0).max(2)
        assert 0.1 < (differences < 40).mean() < 0.75  # the garment; noise stays below 40
        assert differences.mean() > 30  # the backgrounds


def test_small_holes_are_cloth_and_large_ones_are_not(bag: np.ndarray) -> None:
    garment = silhouette(bag)
    assert garment[16:18, 10:13].all()
    assert not garment[5:10, 10:18].any()
    bag[0, 0] = 200  # dirt
    assert not silhouette(bag)[0, 0]
    assert silhouette(np.full((28, 28), 30, np.uint8)).all()
    assert not silhouette(np.zeros((28, 28), np.uint8)).any()


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


def test_unknown_kinds_are_refused(bag: np.ndarray) -> None:
    with pytest.raises(InputError, match="photograph 'beach': must be one of product, negative, plain"):
        render(bag, "beach", 0)


def test_other_processes_prepare_the_same_photographs_as_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("product", "cluttered")
    monkeypatch.setattr(rendered, "KINDS", kinds)
    images = draw(np.array([0, 8]), np.random.default_rng(0))
    by_kind = rendered.prepared_photographs(images, np.array([3, 4]))
    assert tuple(by_kind) == kinds
    for kind, prepared in by_kind.items():
        for place, seed in enumerate((3, 4)):
            image, polarity = prepared_photograph(images[place], kind, seed)
            np.testing.assert_array_equal(prepared.images[place], image)
            assert prepared.polarities[place] == polarity == POLARITIES.get(kind, polarity)
