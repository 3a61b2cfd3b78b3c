"""Pictures become images like the data set's, and their problems are flagged."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.data import source
from fmnist.pictures.cutout import CutOut
from fmnist.pictures.geometry import resize
from fmnist.pictures.preparation import (
    CUT_OFF,
    LOW_CONTRAST,
    NOTHING_FOUND,
    SEVERAL_OBJECTS,
    TOO_LARGE,
    TOO_SMALL,
    centre,
    grey_levels,
    is_native,
    prepare,
    save_stages,
    sharpen,
)

from .drawn import overlap, shirt, shirt_mask

NAVY, PAPER = (20, 30, 90), (245, 245, 240)
GARMENT = np.zeros((28, 28), np.uint8)  # as in the data set: shaded, the longest edge filled
GARMENT[:, 6:22] = np.linspace(120, 255, 28).round()[:, None]
GARMENT[:12, 12:16] = 0  # between two straps


@pytest.fixture(scope="module")
def data_set() -> np.ndarray:
    """Images like those of the data set: the longest edge filled, white somewhere."""
    trousers, boot = np.zeros((2, 28, 28), np.uint8)
    trousers[:, 9:19] = 200
    trousers[9:, 13:15], trousers[0] = 0, 255
    boot[4:24, :14], boot[15:24] = 180, 255
    return np.stack([GARMENT, trousers, boot])


@pytest.mark.parametrize("channels", [None, 3, 4])
def test_an_image_of_the_data_set_is_returned_unchanged(channels: int | None) -> None:
    picture = GARMENT if channels is None else np.repeat(GARMENT[..., None], channels, axis=2)
    if channels == 4:
        picture[..., 3] = 255
    prepared = prepare(picture)
    assert np.array_equal(prepared.image, GARMENT)
    assert prepared.image.base is None  # a copy
    assert (prepared.polarity, prepared.flags) == ("native", ())


@pytest.mark.slow
@pytest.mark.real_data
def test_all_published_images_are_native(real_data: Path) -> None:
    data = source.load(real_data)
    for images in (data.train_images.numpy(), data.test_images.numpy()):
        assert all(is_native(image) for image in images)


@pytest.mark.parametrize(
    "picture",
    [
        255 - GARMENT,
        np.stack([GARMENT, GARMENT, GARMENT // 2], 2),
        np.stack([GARMENT] * 4, 2),
        np.pad(GARMENT, 1),
    ],
    ids=["negative", "coloured", "transparent", "30 x 30"],
)
def test_other_small_pictures_are_not_native(picture: np.ndarray) -> None:
    assert prepare(picture).polarity != "native"


@pytest.mark.parametrize("negative", [True, False])
def test_an_enlarged_image_is_restored_whatever_its_polarity(negative: bool) -> None:
    picture = np.pad(np.asarray(Image.fromarray(GARMENT).resize((308, 308), Image.Resampling.NEAREST)), 50)
    prepared = prepare(255 - picture if negative else picture)
    assert prepared.polarity == ("dark-on-light" if negative else "light-on-dark")
    assert np.abs(prepared.image.astype(int) - GARMENT).mean() < 10


@pytest.mark.parametrize("negative", [True, False])
@pytest.mark.parametrize("how", ["NEAREST", "BILINEAR", "BICUBIC", "LANCZOS"])
def test_an_enlarged_image_whose_garment_touches_the_frame_is_nearly_restored(
    how: str, negative: bool, data_set: np.ndarray
) -> None:
    for image in data_set:
        picture = np.asarray(Image.fromarray(image).resize((280, 280), Image.Resampling[how]))
        prepared = prepare(255 - picture if negative else picture)
        assert np.abs(prepared.image.astype(int) - image).mean() < 3
        assert prepared.flags == ()


MATS = {
    "white mat": ((30, 30), (30, 30), 255),
    "grey mat": ((20, 60), (25, 30), 128),
    "black bars": ((0, 0), (50, 50), 0),
    "white bars": ((40, 40), (0, 0), 255),
}


@pytest.mark.parametrize("mat", MATS)
def test_a_mat_around_a_photograph_is_removed(mat: str, tmp_path: Path) -> None:
    y, x = np.mgrid[:300, :260]
    photograph = shirt(NAVY, np.stack([200 - y // 5, 150 + x // 8, 120 + 0 * x], axis=2))
    *widths, level = MATS[mat]
    Image.fromarray(np.pad(photograph, (*widths, (0, 0)), constant_values=level)).save(tmp_path / "a.jpg")
    prepared, bare = prepare(np.asarray(Image.open(tmp_path / "a.jpg"))), prepare(photograph)
    assert overlap(prepared.image > 99, bare.image > 99) > 0.85
    assert prepared.flags == ()


def test_a_rectangular_garment_is_no_photograph() -> None:
    image = prepare(np.pad(np.full((120, 180), 60, np.uint8), 60, constant_values=250)).image
    assert (image > 200).any(axis=1).sum() in (18, 19)


def test_the_garment_fills_the_longest_edge_on_black() -> None:
    image = prepare(shirt(NAVY, PAPER, shirt_mask(500, 300, 200, top=250, left=20))).image
    assert image.any(axis=0).all()
    assert image.any(axis=1).sum() in (24, 25, 26)  # the drawn shirt is 90 wide and 80 high
    assert not image[[0, -1]].any()
    assert image.max() == 255


def test_a_light_garment_is_negated_in_colour_only() -> None:
    picture = np.zeros((10, 10, 3), np.float32)
    picture[2:5, 2:8], picture[5:8, 2:8] = (0.9, 0.5, 0.5), (0.5, 0.2, 0.2)
    garment = np.zeros((10, 10), bool)
    garment[2:8, 2:8] = True
    levels, polarity = grey_levels(CutOut(picture, np.zeros_like(picture), garment, 0))
    assert polarity == "light-on-dark"
    assert levels[6, 4] > levels[3, 4]
    grey = np.repeat(picture[..., :1], 3, axis=2)
    levels, _ = grey_levels(CutOut(grey, np.zeros_like(grey), garment, 0))
    assert levels[3, 4] > levels[6, 4]


def test_the_colour_of_transparent_pixels_does_not_matter() -> None:
    alpha = (shirt_mask() * 255).astype(np.uint8)[..., None]
    pictures = [np.concatenate([shirt(NAVY, hidden), alpha], axis=2) for hidden in (0, 255)]
    a, b = (prepare(picture).image for picture in pictures)
    assert np.abs(a.astype(int) - b).max() <= 1
    assert a[14, 14] > 200


def test_resizing_averages_and_keeps_the_aspect() -> None:
    levels = np.kron(np.arange(14, dtype=np.float32)[None] / 14, np.ones((56, 4), np.float32))
    assert resize(levels[:, :28], 28).shape == (28, 14)
    assert resize(levels, 28)[0, ::2] == pytest.approx(np.arange(14) / 14)
    assert resize(np.ones((1, 100), np.float32), 28).shape == (1, 28)


def test_sharpening_keeps_uniform_cloth_and_steepens_edges() -> None:
    levels = np.repeat(np.float32([[0.4, 0.6]]), 5).reshape(1, 10)
    sharp = sharpen(levels)
    assert sharp[0, [0, 9]] == pytest.approx([0.4, 0.6])
    assert sharp[0, 4] < 0.4 < 0.6 < sharp[0, 5]


def test_an_odd_row_or_column_goes_above_or_to_the_left() -> None:
    expected = np.pad(np.full((25, 27), 9, np.uint8), ((2, 1), (1, 0)))
    assert np.array_equal(centre(np.full((25, 27), 9, np.uint8)), expected)


def test_each_stage_is_saved_in_order(tmp_path: Path) -> None:
    stages: dict[str, np.ndarray] = {}
    prepared = prepare(shirt(NAVY, PAPER), stages=stages)
    save_stages(tmp_path / "new" / "a coat", stages)
    files = sorted((tmp_path / "new" / "a coat").iterdir())
    assert [path.name for path in files] == [
        "1-upright-picture.png", "2-background.png", "3-mask.png", "4-cut-out.png", "5-trimmed.png",
        "6-resized.png", "7-sharpened.png", "8-final.png",
    ]  # fmt: skip
    assert np.array_equal(np.asarray(Image.open(files[0])), shirt(NAVY, PAPER))
    assert np.array_equal(np.asarray(Image.open(files[-1])), prepared.image)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/a: cannot be written \(Not a directory\)"):
        save_stages(tmp_path / "file" / "a", stages)


@pytest.mark.parametrize("shape", [(8, 8), (8, 160, 3), (400, 20, 4), (900, 1000)])
@pytest.mark.parametrize("fill", ["noise", "black", "white"])
def test_every_picture_gives_an_image(shape: tuple[int, ...], fill: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    picture = {"noise": noise, "black": np.zeros_like(noise), "white": np.full_like(noise, 255)}[fill]
    image = prepare(picture).image
    assert (image.shape, image.dtype) == ((28, 28), np.uint8)


@pytest.mark.parametrize("picture", [np.zeros((9, 9)), np.zeros((9, 9, 2), np.uint8), np.zeros(9, np.uint8)])
def test_other_arrays_are_refused(picture: np.ndarray) -> None:
    with pytest.raises(InputError, match="must be uint8"):
        prepare(picture)


@pytest.mark.parametrize(
    ("picture", "flags"),
    [
        (np.full((90, 80), 255, np.uint8), (NOTHING_FOUND,)),
        (np.tile(np.arange(100, 180, dtype=np.uint8), (90, 1)), (NOTHING_FOUND,)),
        (shirt(NAVY, PAPER), ()),
        (shirt((255, 255, 255), (20, 20, 20)), ()),
        (shirt((225, 225, 222), PAPER), (LOW_CONTRAST,)),
        (shirt(NAVY, PAPER, shirt_mask(300, 500) | shirt_mask(300, 500, left=280)), (SEVERAL_OBJECTS,)),
        (shirt(NAVY, PAPER, shirt_mask(top=150)), (CUT_OFF,)),
        (shirt(NAVY, PAPER, shirt_mask(400, 400, side=80, top=160, left=150)), (TOO_SMALL,)),
        (np.pad(np.full((190, 190), 60, np.uint8), 10, constant_values=240), (TOO_LARGE,)),
    ],
    ids=["blank", "ramp", "proper", "light on dark", "pale", "two", "cut off", "small", "large"],
)
def test_problems_of_a_picture_are_flagged(picture: np.ndarray, flags: tuple[str, ...]) -> None:
    assert prepare(picture).flags == flags
