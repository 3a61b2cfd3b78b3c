"""Drawn shirts are cut out of backgrounds of every kind, smooth and cluttered."""

import numpy as np
import pytest
from scipy import ndimage

from fmnist.pictures.cutout import CutOut, cut_out_garment, fit_background
from fmnist.pictures.geometry import border_mask

from .drawn import overlap, shirt, shirt_mask

NAVY = (20, 30, 90)
MASK = shirt_mask()
HEIGHT, WIDTH = MASK.shape
Y, X = np.mgrid[:HEIGHT, :WIDTH]
RAMP = np.stack([250 - Y // 4, 200 - X // 4, 180 + 0 * X], axis=2)
CONE = np.repeat(np.clip(250 - np.hypot(Y - 100, X - 90) / 2, 0, 255)[..., None], 3, axis=2)
NOISE = np.random.default_rng(0).normal((150, 140, 120), 20, (HEIGHT, WIDTH, 3)).clip(0, 255)
STRIPES = np.where(((X + Y) // 20 % 2 == 0)[..., None], (240, 240, 230), (120, 160, 120))


def cut_out(picture: np.ndarray, opacity: np.ndarray | None = None) -> CutOut:
    return cut_out_garment(picture.astype(np.float32) / 255, opacity)


def clutter(seed: int) -> np.ndarray:
    """Return overlapping boxes in many colours, uint8 (300, 260, 3)."""
    generator = np.random.default_rng(seed)
    picture = np.full((HEIGHT, WIDTH, 3), 180, np.uint8)
    for _ in range(80):
        top, left = generator.integers(-20, HEIGHT), generator.integers(-20, WIDTH)
        height, width = generator.integers(10, 60, 2)
        picture[max(top, 0) : top + height, max(left, 0) : left + width] = generator.integers(90, 256, 3)
    return picture


@pytest.mark.parametrize("degree", [2, 4])
def test_a_polynomial_background_is_fitted_exactly(degree: int) -> None:
    y, x = np.meshgrid(np.linspace(-1, 1, 80), np.linspace(-1, 1, 60), indexing="ij")
    exact = np.stack([0.5 + 0.2 * x, 0.4 - 0.1 * y + 0.3 * x * y, 0.3 + 0.2 * y**2], axis=2)
    picture = exact.astype(np.float32)
    picture[20:, 20:40] = 1  # a garment that touches the border
    assert fit_background(picture, border_mask(picture.shape), degree) == pytest.approx(exact, abs=1e-5)


@pytest.mark.parametrize("colour", [NAVY, (150, 20, 20)])
@pytest.mark.parametrize("background", [(90, 200, 90), RAMP, CONE, NOISE, STRIPES])
def test_a_shirt_is_cut_out(colour: tuple[int, ...], background: object) -> None:
    cut = cut_out(shirt(colour, background))
    assert overlap(cut.garment, MASK) > 0.9
    assert cut.second < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_a_shirt_in_front_of_clutter_is_cut_out_the_same_each_time(seed: int) -> None:
    picture = shirt((30, 30, 110), clutter(seed))
    garment = cut_out(picture).garment
    assert overlap(garment, MASK) > 0.85
    assert np.array_equal(cut_out(picture).garment, garment)


def test_the_object_in_the_middle_is_the_garment() -> None:
    picture = shirt(NAVY, (230, 230, 230))
    picture[5:45, 190:250] = (200, 0, 0)
    cut = cut_out(picture)
    assert overlap(cut.garment, MASK) > 0.97
    assert cut.second == pytest.approx(40 * 60 / MASK.sum(), rel=0.1)


def test_small_light_details_belong_to_the_garment_and_a_large_hole_does_not() -> None:
    picture, expected = shirt(NAVY, (200, 200, 200)), MASK.copy()
    picture[150:158, 120:128] = 200  # a button
    picture[170:210, 110:140], expected[170:210, 110:140] = 200, False
    garment = cut_out(picture).garment
    assert garment[154, 124]
    assert not garment[190, 125]
    assert overlap(garment, expected) > 0.95


def test_specks_around_a_garment_are_dropped_and_a_garment_of_specks_is_kept() -> None:
    picture = shirt(NAVY, (230, 230, 230))
    specks = ndimage.binary_dilation(MASK, iterations=8) & (Y % 12 < 3) & (X % 12 < 3)
    picture[specks & ~MASK] = 0
    assert overlap(cut_out(picture).garment, MASK) > 0.9
    y, x = np.mgrid[:600:3, :800:3]
    dots = ((y % 28 - 14) ** 2 + (x % 28 - 14) ** 2 < 81) & (abs(y - 300) < 200) & (abs(x - 400) < 200)
    assert cut_out(np.where(dots[..., None], (51, 51, 51), (255, 255, 255))).garment.any()


def test_transparency_around_the_garment_is_its_outline() -> None:
    cut = cut_out(shirt(NAVY, (255, 0, 255)), MASK.astype(np.float32))
    assert np.array_equal(cut.garment, MASK)
    assert cut.picture[0, 0] == pytest.approx([1, 1, 1])
    light = cut_out(shirt((250, 250, 240), (9, 9, 9)), MASK.astype(np.float32))
    assert light.picture[0, 0] == pytest.approx([0, 0, 0])


def test_transparency_inside_shows_the_estimated_background() -> None:
    opacity = np.ones(MASK.shape, np.float32)
    opacity[20:40, 20:60] = 0
    picture = shirt(NAVY, (90, 200, 90))
    picture[20:40, 20:60] = 0
    cut = cut_out(picture, opacity)
    assert cut.picture[30, 40] * 255 == pytest.approx([90, 200, 90], abs=1)
    assert overlap(cut.garment, MASK) > 0.97


@pytest.mark.parametrize("opacity", [None, np.zeros((60, 50), np.float32)])
def test_a_picture_without_an_object_is_all_garment(opacity: np.ndarray | None) -> None:
    cut = cut_out(np.full((60, 50, 3), 77), opacity)
    assert cut.garment.all()
    assert not cut.found


def dirty() -> np.ndarray:
    picture = np.full((HEIGHT, WIDTH, 3), 240)
    picture[150:153, 120:123] = 90
    return picture


@pytest.mark.parametrize("picture", [RAMP, NOISE, dirty()], ids=["ramp", "noise", "dirt"])
def test_in_a_blank_picture_nothing_is_found(picture: np.ndarray) -> None:
    assert not cut_out(picture).found


def trousers() -> np.ndarray:
    """Return where trousers are that fill their picture, bool (300, 160)."""
    mask = np.ones((300, 160), bool)
    mask[90:, 68:92] = False  # between the legs
    return mask


def boot() -> np.ndarray:
    mask = np.ones((200, 220), bool)
    mask[:120, 110:] = False  # above the foot
    return mask


def with_folds(mask: np.ndarray, colour: tuple[int, ...], paper: tuple[int, ...]) -> np.ndarray:
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    folds = 1 + 0.15 * np.sin(x / 9 + y / 25)
    return np.where(mask[..., None], np.clip(np.array(colour) * folds[..., None], 0, 255), paper)


TIGHT = {
    "trousers": trousers(),
    "boot": boot(),
    "boot to the left": boot()[:, ::-1],
    "shirt": shirt_mask(162, 180, 180, top=-18, left=-2)[:, 8:172],
}


@pytest.mark.parametrize("colour", [NAVY, (150, 40, 40)])
@pytest.mark.parametrize("paper", [(255, 255, 255), (244, 243, 240)], ids=["white", "off-white"])
@pytest.mark.parametrize("name", TIGHT)
def test_a_garment_that_is_cropped_tightly_on_paper_is_no_background(
    name: str, paper: tuple[int, ...], colour: tuple[int, ...]
) -> None:
    for picture in (with_folds(TIGHT[name], colour, paper), shirt(colour, paper, TIGHT[name])):
        assert overlap(cut_out(picture).garment, TIGHT[name]) > 0.95


def test_a_white_garment_that_is_cut_off_before_a_dark_background_is_no_paper() -> None:
    mask = shirt_mask(top=140)
    assert overlap(cut_out(shirt((255, 255, 255), (40, 45, 50), mask)).garment, mask) > 0.95
