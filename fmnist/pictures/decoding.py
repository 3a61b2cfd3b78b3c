"""Picture files in, arrays out; whatever is wrong with a file is said in one line."""

import contextlib
import os
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fmnist.core.errors import InputError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
MAX_PIXELS = 64_000_000
"""Larger pictures are refused from their header, before anything is decoded; telephones make 50 million."""
MIN_SIDE = 8
MAX_ASPECT = 20
"""Longest side over shortest: what is longer is a line, not a picture of a garment."""
DRAFT_SIDE = 400
"""Large JPEG files are decoded at a half, quarter or eighth, but no smaller than this."""


def read_picture(path: Path) -> np.ndarray:
    """Read a picture upright, as its EXIF orientation says; of an animation, the first frame.

    Large pictures come back reduced by a whole factor (their shortest side keeps 400 pixels or more):
    all that follows looks at 28 x 28.

    Args:
        path: A PNG, JPEG, WebP, BMP, TIFF or GIF file, recognised by its content.

    Returns:
        uint8: grey (H, W); RGB (H, W, 3); RGBA (H, W, 4), not premultiplied, where it has transparency.

    Raises:
        InputError: It is no such file, is damaged, cannot be read, or its size is not that of a picture.
    """
    shown = printable(path)
    try:
        _check_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about what is refused or harmless here
            # not by its name: Pillow 13 would map a plain TIFF, and garble it where it is to be turned
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
                return _decode(image)
    except Exception as error:  # a damaged file raises nearly anything
        raise InputError(f"{shown}: {_reason(error)}") from None


def printable(path: Path) -> str:
    """Return a file's name as it can be shown anywhere: with odd characters, as Python writes it."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def _reason(error: Exception) -> str:
    """Return what is wrong with a file, in one line."""
    if isinstance(error, _RefusedError):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return "is no PNG, JPEG, WebP, BMP, TIFF or GIF file, or is damaged"
    if isinstance(error, Image.DecompressionBombError):  # so many that Pillow does not even say how many
        return f"has more than {MAX_PIXELS:,} pixels; make it smaller"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    words = " ".join(str(error).split()) or type(error).__name__
    return f"is damaged ({words[:100]})"


class _RefusedError(Exception):
    """Why a file is not decoded."""


def _check_file(path: Path) -> None:
    """Refuse what is no file with content, before opening it: a pipe would wait for ever."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        os.listdir(path)  # says whether it may be looked into
        raise _RefusedError("is a folder without pictures")
    if not stat.S_ISREG(status.st_mode):
        raise _RefusedError("is no regular file")
    if not status.st_size:
        raise _RefusedError("is empty (0 bytes)")


def _check_size(width: int, height: int) -> None:
    size = f"{width:,} x {height:,} pixels"
    if width * height > MAX_PIXELS:
        raise _RefusedError(f"has {size}, more than {MAX_PIXELS:,}; make it smaller")
    if min(width, height) < MIN_SIDE:
        raise _RefusedError(f"has {size}, and no side may be shorter than {MIN_SIDE}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise _RefusedError(f"has {size}, and no side may be more than {MAX_ASPECT} times the other")


def _decode(image: Image.Image) -> np.ndarray:
    _check_size(*image.size)
    if min(image.size) >= 2 * DRAFT_SIDE:
        image.draft(None, (DRAFT_SIDE, DRAFT_SIDE))  # JPEG's own reduction; nothing for other formats
    image.load()
    with contextlib.suppress(Exception):  # damaged EXIF data hide no picture
        ImageOps.exif_transpose(image, in_place=True)
    plain = _to_eight_bits(image)
    return np.array(plain.reduce(max(min(plain.size) // DRAFT_SIDE, 1)))


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Return the picture in mode L, RGB or RGBA."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):  # convert("L") would clip them to white
        return Image.fromarray(_scaled(np.asarray(image)))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _scaled(levels: np.ndarray) -> np.ndarray:
    """Scale grey levels of 16 bits, 32 bits or floating point to uint8.

    Unsigned 16 bits are divided by 257. The others do not say where white lies: it is taken to be the
    least of 1 (floating point only), 255 and 65,535 that nothing exceeds; what lies outside all of them
    is stretched from its darkest to its brightest.
    """
    if levels.dtype.kind == "u":
        return np.round(levels / 257).astype(np.uint8)
    if not np.isfinite(levels).all():
        raise _RefusedError("holds values that are no numbers")
    low, high = float(levels.min()), float(levels.max())
    whites = (1.0, 255.0, 65535.0) if levels.dtype.kind == "f" else (255.0, 65535.0)
    fitting = [white for white in whites if low >= 0 and high <= white]
    if fitting:
        low, high = 0.0, fitting[0]
    return np.round((levels.astype(np.float64) - low) * (255 / (high - low))).astype(np.uint8)
