"""What is amiss with a picture, seen from its cut-out: short words for people."""

import numpy as np

LOW_CONTRAST = "low contrast"
SEVERAL_OBJECTS = "several objects"
CUT_OFF = "object cut off by the frame"
TOO_SMALL = "object under 5 % of the area"
TOO_LARGE = "object over 60 % of the area"
FLAGS = (LOW_CONTRAST, SEVERAL_OBJECTS, CUT_OFF, TOO_SMALL, TOO_LARGE)

LEAST_CONTRAST = 0.12  # mean distance in RGB, 1 from black to white
SECOND = 0.3  # area of another object, in garments
TOUCHING = 0.05  # share of a side of the frame


def quality_flags(garment: np.ndarray, second: float, contrast: float) -> tuple[str, ...]:
    """Return what is amiss, in the order of ``FLAGS``.

    Args:
        garment: bool (H, W).
        second: Area of the next largest object, in garments.
        contrast: Mean distance in colour of garment and background, 1 from black to white.
    """
    sides = garment[0], garment[-1], garment[:, 0], garment[:, -1]
    share = float(garment.mean())
    found = {
        LOW_CONTRAST: contrast < LEAST_CONTRAST,
        SEVERAL_OBJECTS: second > SECOND,
        CUT_OFF: max(side.mean() for side in sides) > TOUCHING,
        TOO_SMALL: share < 0.05,
        TOO_LARGE: share > 0.6,
    }
    return tuple(flag for flag in FLAGS if found[flag])
