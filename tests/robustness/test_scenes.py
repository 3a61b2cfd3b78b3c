"""Garments rendered as photographs."""

import numpy as np
import pytest
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.robustness.scenes import BACKGROUNDS, photograph, product_photograph, silhouette


@pytest.fixture
def bag() -> np.ndarray:
    """A bag: a body with a white label in it, and a handle to look through."""
    image = np.zeros((28, 28), np.uint8)
    image[10:26, 3:25] = 200
    image[16:18, 10:13] = 0  # the label
    image[3:10, 8:20] = 180
    image[5:10, 10:18] = 0  # the opening
    return image


@pytest.mark.parametrize("kind", [*BACKGROUNDS, "product"])
def test_a_photograph_is_a_picture_that_image_and_seed_decide(bag: np.ndarray, kind: str) -> None:
    def take(seed: int) -> np.ndarray:
        return product_photograph(bag, seed) if kind == "product" else photograph(bag, kind, seed)

    sizes = set()
    for seed in range(3):
        picture = take(seed)
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
        assert all(200 <= side <= 800 for side in picture.shape[:2])
        np.testing.assert_array_equal(picture, take(seed))
        sizes.add(picture.shape)
    assert len(sizes) == 3


def test_the_garment_is_the_same_before_every_background(bag: np.ndarray) -> None:
    for seed in range(4):
        pictures = np.stack([photograph(bag, name, seed) for name in BACKGROUNDS]).astype(float)
        steady = np.ptp(pictures, axis=0).max(2) < 40  # less than noise can do
        covered = steady.mean()
        assert 0.1 < covered < 0.75
        assert np.ptp(pictures, axis=0).max(2).mean() > 30  # the backgrounds differ


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


def test_dark_cloth_is_darker_and_white_cloth_still_there(bag: np.ndarray) -> None:
    for seed in range(4):
        light, dark = np.where(bag > 0, 30, 0).astype(np.uint8), np.where(bag > 0, 250, 0).astype(np.uint8)
        pictures = [photograph(image, "plain", seed).astype(float) for image in (light, dark)]
        difference = (pictures[0] - pictures[1]).mean(2)
        assert np.quantile(difference, 0.95) > 100


def test_an_empty_image_is_a_picture_of_the_background() -> None:
    nothing = np.zeros((28, 28), np.uint8)
    for name in BACKGROUNDS:
        assert photograph(nothing, name, 0).ndim == 3
    assert product_photograph(nothing, 0).std() < 8


def test_a_product_photograph_is_the_negative_on_light_paper(bag: np.ndarray) -> None:
    for seed in range(6):
        picture = product_photograph(bag, seed)
        grey = picture.mean(2)
        border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
        assert border.min() > 205
        dark = grey < 150
        rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
        cut = Image.fromarray(grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
        small = 255 - np.asarray(cut.resize((22, 23), Image.Resampling.BOX))
        assert np.corrcoef(small.ravel(), bag[3:26, 3:25].ravel())[0, 1] > 0.9


def test_what_there_is_not_is_refused(bag: np.ndarray) -> None:
    with pytest.raises(InputError, match="background 'beach': must be one of plain, gradient"):
        photograph(bag, "beach", 0)
    for wrong in (bag / 255, bag[None]):
        with pytest.raises(InputError, match="must be uint8"):
            photograph(wrong, "plain", 0)
        with pytest.raises(InputError, match="must be uint8"):
            product_photograph(wrong, 0)
