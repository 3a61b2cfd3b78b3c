"""From a picture to the data set's 28 x 28 grey levels, by the steps of its paper."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.errors import InputError, reports_unwritable
from fmnist.core.images import to_float, to_uint8
from fmnist.pictures.cutout import CutOut, cut_out_garment
from fmnist.pictures.geometry import border_mask, remove_mat, resize, shrink

WORKING_SIDE = 8 * IMAGE_SIZE  # longest side of the picture that the steps work on
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's
PAPER = 0.85
"""Least luma of white: in front of a darker background, cloth is compared with this instead."""
COLOURED = 0.06
"""Mean spread of a garment's channels from which a picture counts as coloured, so as no negative."""
SHARPENING = 0.5
FADED = 0.15  # of what is behind the garment, in the picture of the cut-out
FLAT_WIDTH = 0.9
"""Factor of the width of a garment that lies flat. By its height it is 1.2 to 1.6 times as wide as in the
data set (medians by class of 609 real photographs). Of 1 to 0.6, this gave the best accuracy there."""

NOTHING_FOUND = "nothing found"
LOW_CONTRAST = "low contrast"
SEVERAL_OBJECTS = "several objects"
CUT_OFF = "object cut off by the frame"
TOO_SMALL = "object under 5 % of the area"
TOO_LARGE = "object over 60 % of the area"
FLAGS = (NOTHING_FOUND, LOW_CONTRAST, SEVERAL_OBJECTS, CUT_OFF, TOO_SMALL, TOO_LARGE)

LEAST_CONTRAST = 0.12  # mean distance in RGB, 1 from black to white
SECOND_OBJECT = 0.3  # area of another object, relative to the garment's
TOUCHING = 0.05  # share of a side of the frame


@dataclass(frozen=True)
class Prepared:
    """A picture as an image of the data set.

    Attributes:
        image: uint8 (28, 28), the garment on 0.
        polarity: ``"dark-on-light"`` or ``"light-on-dark"``, the garment compared with its background;
            ``"native"`` if the picture already was an image of the data set.
        flags: Problems of the picture, from ``FLAGS``.
    """

    image: np.ndarray
    polarity: str
    flags: tuple[str, ...]


def prepare(picture: np.ndarray, stages: dict[str, np.ndarray] | None = None) -> Prepared:
    """Prepare a picture by the steps of the data set's paper (Xiao et al. 2017, arXiv 1708.07747, section 2).

    The paper trims the border, resizes the longest edge to 28, sharpens, centres, negates and converts to
    8-bit grey. Its pictures were already cut out, on white; here the background is first estimated from the
    border and removed, and resizing averages instead of skipping pixels. A plain mat around a photograph is
    removed first.

    An image of the data set is returned unchanged, or at its own size, see ``native_image``.

    Args:
        picture: uint8 (H, W), (H, W, 3) or (H, W, 4), upright, as ``read_picture`` returns it.
        stages: If given, the picture after each step is added to it by name, in order.

    Raises:
        InputError: The picture is no such array.
    """
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,), (4,)):
        raise InputError(
            f"picture {picture.dtype} {picture.shape}: must be uint8 (H, W), (H, W, 3) or (H, W, 4)"
        )
    stages = {} if stages is None else stages
    stages["upright picture"] = picture
    native = native_image(picture)
    if native is not None:
        stages["final"] = native
        return Prepared(native, "native", ())

    inside = remove_mat(picture)
    cut = cut_out_garment(*working_copy(inside))
    if not cut.found and inside is not picture:  # the rectangle is no photograph, but the garment
        cut = cut_out_garment(*working_copy(picture))
    levels, polarity = grey_levels(cut)
    soft_mask = ndimage.uniform_filter(cut.garment.astype(np.float32), 3)
    (bounding_box,) = ndimage.find_objects(cut.garment.astype(int))
    trimmed = (levels * soft_mask)[bounding_box]
    resized = resize(trimmed, IMAGE_SIZE, width=FLAT_WIDTH if cut.lies_flat else 1)
    sharpened = sharpen(resized)
    image = centre(to_uint8(sharpened / max(float(sharpened.max()), 1e-3)))
    stages |= {
        "background": to_uint8(cut.background),
        "mask": to_uint8(cut.garment),
        "cut out": to_uint8(np.where(cut.garment[..., None], cut.picture, 1 - FADED * (1 - cut.picture))),
        "trimmed": to_uint8(trimmed),
        "resized": to_uint8(resized),
        "sharpened": to_uint8(sharpened),
        "final": image,
    }
    return Prepared(image, polarity, quality_flags(cut))


def save_stages(folder: Path, stages: dict[str, np.ndarray]) -> None:
    """Write the pictures that ``prepare`` added to ``stages`` as PNG files, numbered in their order.

    Raises:
        InputError: The folder cannot be written.
    """
    with reports_unwritable(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        for number, (step, picture) in enumerate(stages.items(), start=1):
            # not flushed to the disk: for seven files a picture, that would take longer than preparing it
            Image.fromarray(picture).save(folder / f"{number}-{step.replace(' ', '-')}.png")


def is_native(picture: np.ndarray) -> bool:
    """Return whether a picture is an image of the data set, as all its 70,000 images are recognised.

    It is 28 x 28, grey and opaque, and more of its outermost pixels are black (below 8) than white
    (above 247).
    """
    if picture.shape[:2] != (IMAGE_SIZE, IMAGE_SIZE):
        return False
    channels = picture.reshape(IMAGE_SIZE, IMAGE_SIZE, -1)
    if (channels[..., :3] != channels[..., :1]).any() or (channels[..., 3:] < 255).any():
        return False
    around = channels[..., 0][border_mask((IMAGE_SIZE, IMAGE_SIZE))]
    return int((around < 8).sum()) > int((around > 247).sum())


def native_image(picture: np.ndarray) -> np.ndarray | None:
    """Return the image of the data set that a picture is, uint8 (28, 28), or ``None`` if it is another.

    It may be enlarged, and then negative, too: a grey, opaque square with a tenth of its border black, whose
    garment reaches two opposite sides and is white somewhere.
    """
    if is_native(picture):
        return picture.reshape(IMAGE_SIZE, IMAGE_SIZE, -1)[..., 0].copy()
    if picture.shape[0] != picture.shape[1] or picture.shape[0] <= IMAGE_SIZE:
        return None
    # the middle of each enlarged pixel, because interpolation leaves it as it was, and a mean would blur it
    sampled = Image.fromarray(picture).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.NEAREST)
    small = np.asarray(sampled).reshape(IMAGE_SIZE, IMAGE_SIZE, -1)
    grey, opacity = small[..., 0], small[..., 3:]
    if np.ptp(small[..., :3], axis=2).max() > 2 or (opacity < 255).any():
        return None
    for image in (grey, 255 - grey):
        reaches = [(image.take([0, -1], axis) >= 4).any(1 - axis).all() for axis in (0, 1)]
        has_black = (image[border_mask(image.shape)] < 8).mean() >= 0.1
        if has_black and is_native(image) and any(reaches) and image.max() >= 200:
            return image.copy()
    return None


def working_copy(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a reduced copy, float32 (h, w, 3) in [0, 1], and its opacity (h, w), ``None`` if opaque."""
    pixels = to_float(shrink(picture, WORKING_SIDE))
    channels = [pixels] * 3 if pixels.ndim == 2 else list(np.moveaxis(pixels, 2, 0))
    opacity = channels[3] if len(channels) == 4 and channels[3].min() < 1 else None
    # each channel in one piece of memory: sums over the channels are several times as fast
    return np.moveaxis(np.stack(channels[:3]), 0, 2), opacity


def grey_levels(cut: CutOut) -> tuple[np.ndarray, str]:
    """Return grey levels like the data set's, float32 (H, W) in [0, 1], and the polarity of the picture.

    The data set negates photographs, so dark cloth is bright; its brightest pixel is 255 in nearly every
    image. A grey garment that is lighter than its background is not negated: the picture is a negative
    already, or a white shirt on black, whose outline is clearer so. One in colour is negated like any other.
    """
    luma, behind = cut.picture @ LUMA, cut.background @ LUMA
    dark = bool(np.median((behind - luma)[cut.garment]) >= 0)
    if dark:
        levels = np.maximum(behind, PAPER) - luma
    elif np.ptp(cut.picture[cut.garment], axis=1).mean() > COLOURED:
        levels = 1 - luma
    else:
        levels = luma - behind
    brightest = max(float(np.percentile(levels[cut.garment], 99)), 1e-3)
    return np.clip(levels / brightest, 0, 1), "dark-on-light" if dark else "light-on-dark"


def sharpen(levels: np.ndarray) -> np.ndarray:
    """Sharpen with an unsharp mask: a Gaussian of radius and standard deviation 1.0."""
    return np.clip(levels + SHARPENING * (levels - ndimage.gaussian_filter(levels, 1.0, radius=1)), 0, 1)


def centre(image: np.ndarray) -> np.ndarray:
    """Put an image in the middle of a black (28, 28); an odd row or column goes above or to the left."""
    canvas = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.uint8)
    canvas[_centred(image.shape)] = image
    return canvas


def lay_out(values: np.ndarray, stages: dict[str, np.ndarray]) -> np.ndarray:
    """Lay a value for each pixel of an image over the picture that the image was made from.

    Args:
        values: float32 (28, 28).
        stages: What ``prepare`` added.

    Returns:
        float32 (H, W) in the size of the stage "cut out", 0 beside the garment's bounding box. The values
        themselves if the picture was an image of the data set.
    """
    if "cut out" not in stages:
        return values
    mask, inside = stages["mask"], values[_centred(stages["resized"].shape)]
    (bounding_box,) = ndimage.find_objects(mask // 255)
    height, width = mask[bounding_box].shape
    canvas = np.zeros(mask.shape, np.float32)
    fitted = Image.fromarray(inside).resize((width, height), Image.Resampling.BILINEAR)
    canvas[bounding_box] = np.asarray(fitted)
    return canvas


def _centred(shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return where in an image an array (H, W) lies that is centred."""
    height, width = shape
    top, left = (IMAGE_SIZE - height + 1) // 2, (IMAGE_SIZE - width + 1) // 2
    return slice(top, top + height), slice(left, left + width)


def quality_flags(cut: CutOut) -> tuple[str, ...]:
    """Return the problems that a cut-out shows, in the order of ``FLAGS``."""
    if not cut.found:
        return (NOTHING_FOUND,)
    garment = cut.garment
    contrast = float(np.linalg.norm(cut.picture - cut.background, axis=2)[garment].mean() / 3**0.5)
    sides = garment[0], garment[-1], garment[:, 0], garment[:, -1]
    share = float(garment.mean())
    problems = {
        LOW_CONTRAST: contrast < LEAST_CONTRAST,
        SEVERAL_OBJECTS: cut.second > SECOND_OBJECT,
        CUT_OFF: max(side.mean() for side in sides) > TOUCHING,
        TOO_SMALL: share < 0.05,
        TOO_LARGE: share > 0.6,
    }
    return tuple(flag for flag in FLAGS if problems.get(flag))
