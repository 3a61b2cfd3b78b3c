"""Each flag is raised by a drawn picture, and none by a proper one."""

import numpy as np
import pytest

from fmnist.pictures.preparation import prepare
from fmnist.pictures.quality import (
    CUT_OFF,
    LOW_CONTRAST,
    SEVERAL_OBJECTS,
    TOO_LARGE,
    TOO_SMALL,
    quality_flags,
)

from .drawn import shirt, shirt_mask

NAVY, PAPER = (20, 30, 90), (245, 245, 240)


def two_shirts() -> np.ndarray:
    return shirt_mask(300, 500, left=40) | shirt_mask(300, 500, left=280)


@pytest.mark.parametrize(
    ("picture", "flags"),
    [
        (shirt(NAVY, PAPER), ()),
        (shirt((255, 255, 255), (20, 20, 20)), ()),
        (shirt((225, 225, 222), PAPER), (LOW_CONTRAST,)),
        (shirt(NAVY, PAPER, two_shirts()), (SEVERAL_OBJECTS,)),
        (shirt(NAVY, PAPER, shirt_mask(top=150)), (CUT_OFF,)),
        (shirt(NAVY, PAPER, shirt_mask(400, 400, side=80, top=160, left=150)), (TOO_SMALL,)),
        (
            np.pad(np.full((190, 190, 3), 60, np.uint8), ((10, 10), (10, 10), (0, 0)), constant_values=240),
            (TOO_LARGE,),
        ),
    ],
    ids=["proper", "light on dark", "pale", "two", "cut off", "small", "large"],
)
def test_flags_of_drawn_pictures(picture: np.ndarray, flags: tuple[str, ...]) -> None:
    assert prepare(picture).flags == flags


def test_flags_come_in_one_order() -> None:
    full = np.ones((20, 20), bool)
    assert quality_flags(full, second=1.0, contrast=0.0) == (
        LOW_CONTRAST,
        SEVERAL_OBJECTS,
        CUT_OFF,
        TOO_LARGE,
    )
