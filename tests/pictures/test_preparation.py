"""Pictures become what the data set holds: each step by itself, and all together."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.data import source
from fmnist.pictures import preparation
from fmnist.pictures.preparation import centre, grey_levels, is_native, prepare, resize, sharpen

from .drawn import shirt, shirt_mask

STEPS = ["upright picture", "background", "mask", "trimmed", "resized", "sharpened", "final"]


def garment_image() -> np.ndarray:
    """Return an image as the data set's: shaded, the longest edge filled, uint8 (28, 28)."""
    image = np.zeros((28, 28), np.uint8)
    image[:, 6:22] = np.linspace(120, 255, 28).round()[:, None]
    image[:12, 12:16] = 0  # between two straps
    return image


def enlarged(image: np.ndarray, side: int = 308, margin: int = 50) -> np.ndarray:
    return np.pad(np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST)), margin)


@pytest.mark.parametrize("channels", [None, 3, 4])
def test_an_image_of_the_data_set_comes_through_bit_for_bit(channels: int | None) -> None:
    image = garment_image()
    picture = image if channels is None else np.repeat(image[..., None], channels, axis=2)
    if channels == 4:
        picture[..., 3] = 255
    prepared = prepare(picture)
    assert np.array_equal(prepared.image, image)
    assert (prepared.polarity, prepared.flags) == ("native", ())


@pytest.mark.slow
@pytest.mark.real_data
def test_all_published_images_are_native(real_data: Path) -> None:
    data = source.load(real_data)
    for images in (data.train_images.numpy(), data.test_images.numpy()):
        assert all(is_native(image) for image in images)


def test_other_pictures_of_that_size_are_not_native() -> None:
    image = garment_image()
    assert not is_native(255 - image)
    assert not is_native(np.stack([image, image, image // 2], axis=2))
    assert not is_native(np.stack([image, image, image, image], axis=2))
    assert not is_native(np.pad(image, 1))
    assert prepare(255 - image).polarity == "dark-on-light"


@pytest.mark.parametrize("negative", [True, False])
def test_an_enlarged_image_comes_back_whatever_its_polarity(negative: bool) -> None:
    picture = enlarged(garment_image())
    prepared = prepare(255 - picture if negative else picture)
    assert prepared.polarity == ("dark-on-light" if negative else "light-on-dark")
    assert np.abs(prepared.image.astype(int) - garment_image()).mean() < 10


def test_the_garment_fills_the_longest_edge_on_black() -> None:
    prepared = prepare(shirt((20, 30, 90), (250, 250, 245), shirt_mask(500, 300, 200, top=250, left=20)))
    rows, columns = prepared.image.any(axis=1), prepared.image.any(axis=0)
    assert columns.all()
    assert rows.sum() in (24, 25, 26)  # 80 of 90 parts of 28
    assert not prepared.image[[0, -1]].any()
    assert prepared.image.max() == 255


def test_polarity_comes_from_the_border() -> None:
    assert prepare(shirt((240, 240, 240), (30, 30, 30))).polarity == "light-on-dark"
    assert prepare(shirt((30, 30, 30), (240, 240, 240))).polarity == "dark-on-light"


def test_colour_is_a_photograph_and_is_negated() -> None:
    picture = np.zeros((10, 10, 3), np.float32)
    picture[2:5, 2:8], picture[5:8, 2:8] = (0.9, 0.5, 0.5), (0.5, 0.2, 0.2)
    garment = np.zeros((10, 10), bool)
    garment[2:8, 2:8] = True
    levels, polarity = grey_levels(picture, np.zeros_like(picture), garment)
    assert polarity == "light-on-dark"
    assert levels[6, 4] > levels[3, 4]
    grey = np.repeat(picture[..., :1], 3, axis=2)
    levels, _ = grey_levels(grey, np.zeros_like(grey), garment)
    assert levels[3, 4] > levels[6, 4]


def test_transparent_pictures_do_not_depend_on_the_colour_under_them() -> None:
    alpha = (shirt_mask() * 255).astype(np.uint8)[..., None]
    pictures = [np.concatenate([shirt((20, 30, 90), under), alpha], axis=2) for under in (0, 255)]
    one, other = (prepare(picture).image for picture in pictures)
    assert np.abs(one.astype(int) - other).max() <= 1
    assert one[14, 14] > 200


def test_resize_averages_and_keeps_the_aspect() -> None:
    levels = np.kron(np.arange(14, dtype=np.float32)[None] / 14, np.ones((56, 4), np.float32))
    assert resize(levels).shape == (28, 28)
    assert resize(levels[:, :28]).shape == (28, 14)
    assert resize(levels)[0, ::2] == pytest.approx(np.arange(14) / 14)
    assert resize(np.ones((1, 100), np.float32)).shape == (1, 28)


def test_sharpening_leaves_flat_cloth_and_steepens_edges() -> None:
    levels = np.full((10, 10), 0.4, np.float32)
    levels[:, 5:] = 0.6
    sharp = sharpen(levels)
    assert sharp[:, 0] == pytest.approx(np.full(10, 0.4))
    assert sharp[5, 4] < 0.4 < 0.6 < sharp[5, 5]


def test_an_odd_pixel_goes_above_and_to_the_left() -> None:
    image = centre(np.full((25, 27), 9, np.uint8))
    assert np.array_equal(np.flatnonzero(image.any(axis=1)), np.arange(2, 27))
    assert np.array_equal(np.flatnonzero(image.any(axis=0)), np.arange(1, 28))


def test_stages_hold_each_step_in_order() -> None:
    stages: dict[str, np.ndarray] = {}
    picture = shirt((20, 30, 90), (250, 250, 245))
    prepared = prepare(picture, stages=stages)
    assert list(stages) == STEPS
    assert all(stage.dtype == np.uint8 for stage in stages.values())
    assert np.array_equal(stages["upright picture"], picture)
    assert np.array_equal(stages["final"], prepared.image)


@pytest.mark.parametrize("shape", [(8, 8), (8, 160, 3), (400, 20, 4), (900, 1000)])
@pytest.mark.parametrize("fill", ["noise", "black", "white"])
def test_any_picture_has_an_answer(shape: tuple[int, ...], fill: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    picture = {"noise": noise, "black": np.zeros_like(noise), "white": np.full_like(noise, 255)}[fill]
    prepared = prepare(picture)
    assert (prepared.image.shape, prepared.image.dtype) == ((28, 28), np.uint8)
    assert pickle.loads(pickle.dumps(prepared)).polarity == prepared.polarity


@pytest.mark.parametrize("picture", [np.zeros((9, 9)), np.zeros((9, 9, 2), np.uint8), np.zeros(9, np.uint8)])
def test_other_arrays_are_refused(picture: np.ndarray) -> None:
    with pytest.raises(InputError, match="must be uint8"):
        prepare(picture)


def test_preparing_does_not_change_the_picture() -> None:
    picture = shirt((20, 30, 90), (250, 250, 245))
    before = picture.copy()
    prepare(picture)
    assert np.array_equal(picture, before)
    assert preparation.prepare(picture).image.base is None
