"""Drawn shirts are found before backgrounds of every kind."""

import numpy as np
import pytest
from scipy import ndimage

from fmnist.core.errors import InputError
from fmnist.pictures.cutout import CutOut, cut_out_garment

from .drawn import overlap, shirt, shirt_mask

MASK = shirt_mask()
HEIGHT, WIDTH = MASK.shape
Y, X = np.mgrid[:HEIGHT, :WIDTH]
RAMP = np.stack([250 - Y // 4, 200 - X // 4, 180 + 0 * X], axis=2)
CONE = np.repeat(np.clip(250 - np.hypot(Y - 100, X - 90) / 2, 0, 255)[..., None], 3, axis=2)
GRAINS = np.random.default_rng(0).normal((150, 140, 120), 20, (HEIGHT, WIDTH, 3)).clip(0, 255)
STRIPES = np.where(((X + Y) // 20 % 2 == 0)[..., None], (240, 240, 230), (120, 160, 120))


def cut_out(picture: np.ndarray, opacity: np.ndarray | None = None, how: str = "border") -> CutOut:
    return cut_out_garment(picture.astype(np.float32) / 255, opacity, how)


@pytest.mark.parametrize("colour", [(20, 30, 90), (150, 20, 20)])
@pytest.mark.parametrize(
    "background", [(255, 255, 255), (90, 200, 90), RAMP, CONE, GRAINS, STRIPES],
    ids=["white", "green", "ramp", "cone", "grains", "stripes"],
)  # fmt: skip
def test_a_shirt_is_found(colour: tuple[int, ...], background: object) -> None:
    found = cut_out(shirt(colour, background))
    assert overlap(found.garment, MASK) > 0.9
    assert found.second < 0.1


def test_grabcut_finds_a_shirt_before_stripes() -> None:
    pytest.importorskip("cv2")
    assert overlap(cut_out(shirt((150, 20, 20), STRIPES), how="grabcut").garment, MASK) > 0.9


def test_light_details_belong_to_the_garment_and_a_large_hole_does_not() -> None:
    picture, wanted = shirt((20, 30, 90), (200, 200, 200)), MASK.copy()
    picture[150:158, 120:128] = 200  # a button
    picture[170:210, 110:140], wanted[170:210, 110:140] = 200, False
    found = cut_out(picture).garment
    assert found[154, 124]
    assert not found[190, 125]
    assert overlap(found, wanted) > 0.95


def test_the_object_in_the_middle_is_the_garment() -> None:
    picture = shirt((20, 30, 90), (230, 230, 230))
    picture[5:45, 190:250] = (200, 0, 0)
    found = cut_out(picture)
    assert overlap(found.garment, MASK) > 0.97
    assert found.second == pytest.approx(40 * 60 / MASK.sum(), rel=0.1)


def test_transparency_says_where_the_garment_is() -> None:
    found = cut_out(shirt((20, 30, 90), (255, 0, 255)), MASK.astype(np.float32))
    assert np.array_equal(found.garment, MASK)
    assert found.picture[0, 0] == pytest.approx([1, 1, 1])
    light = cut_out(shirt((250, 250, 240), (9, 9, 9)), MASK.astype(np.float32))
    assert light.picture[0, 0] == pytest.approx([0, 0, 0])


def test_transparency_inside_shows_the_estimated_background() -> None:
    opacity = np.ones(MASK.shape, np.float32)
    opacity[20:40, 20:60] = 0
    picture = shirt((20, 30, 90), (90, 200, 90))
    picture[20:40, 20:60] = 0
    found = cut_out(picture, opacity)
    assert found.picture[30, 40] * 255 == pytest.approx([90, 200, 90], abs=1)
    assert overlap(found.garment, MASK) > 0.97


def test_nothing_to_see_is_all_garment() -> None:
    assert cut_out(np.full((60, 50, 3), 77)).garment.all()
    assert cut_out(np.full((60, 50, 3), 77), np.zeros((60, 50), np.float32)).garment.all()


def test_other_ways_are_refused() -> None:
    with pytest.raises(InputError, match="must be one of border, grabcut"):
        cut_out(np.zeros((60, 50, 3)), how="scissors")


def test_specks_are_no_garment() -> None:
    picture = shirt((20, 30, 90), (230, 230, 230))
    specks = ndimage.binary_dilation(MASK, iterations=8) & (Y % 12 < 3) & (X % 12 < 3)
    picture[specks & ~MASK] = 0
    assert overlap(cut_out(picture).garment, MASK) > 0.9


def test_specks_alone_are_a_garment() -> None:
    rows, columns = np.indices((600, 800))
    dots = (
        ((rows % 28 - 14) ** 2 + (columns % 28 - 14) ** 2 < 81)
        & (abs(rows - 300) < 200)
        & (abs(columns - 400) < 200)
    )
    picture = np.where(dots[..., None], np.float32(0.2), np.float32([1, 1, 1])).astype(np.float32)
    assert cut_out_garment(picture[::3, ::3], None, "border").garment.any()
