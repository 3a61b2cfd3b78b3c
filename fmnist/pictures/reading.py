"""Find picture files and decode them; the error for a file that cannot be used is one line."""

import contextlib
import os
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fmnist.core.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif")
"""Endings of the files that are taken from a folder, in lower or upper case."""
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
MAX_PIXELS = 64_000_000
"""Larger pictures are refused by their header, before they are decoded; phone cameras make 50 million."""
MIN_SIDE = 8
MAX_ASPECT = 20
"""Largest ratio of the longer side to the shorter; no picture of a garment is so narrow."""
DRAFT_SIDE = 400
"""Large pictures are decoded at a fraction of their size, but their shorter side keeps this many pixels."""


def find_pictures(paths: list[Path]) -> list[Path]:
    """Return the picture files that files and folders name, each once, in the order given.

    A folder yields the files in it and in its subfolders whose names end in one of ``SUFFIXES``, sorted
    by name, without hidden ones and without links to folders. A folder that cannot be read or holds no
    picture is returned itself, so that reading it raises an error that says why.
    """
    pictures = [picture for path in paths for picture in (_walk(path) if os.path.isdir(path) else [path])]
    return list(dict.fromkeys(pictures))


def _walk(folder: Path) -> list[Path]:
    unreadable: list[Path] = []
    pictures = []
    walk = os.walk(folder, onerror=lambda error: unreadable.append(Path(error.filename)))
    for parent, folders, names in walk:
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = (name for name in names if not name.startswith("."))
        pictures += [Path(parent, name) for name in visible if name.lower().endswith(SUFFIXES)]
    return sorted(pictures + unreadable) or [folder]


def read_picture(path: Path) -> np.ndarray:
    """Read a picture upright, as its EXIF orientation says; of an animation, the first frame.

    Large pictures are reduced by a whole factor (their shorter side keeps 400 pixels or more), because the
    result of all further steps is 28 x 28.

    Args:
        path: A PNG, JPEG, WebP, BMP, TIFF or GIF file, recognised by its content.

    Returns:
        uint8: grey (H, W); RGB (H, W, 3); RGBA (H, W, 4), not premultiplied, where it has transparency.

    Raises:
        InputError: It is no such file, is damaged, cannot be read, or is too large, too small or too narrow.
    """
    try:
        _check_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about what is refused below, or harmless
            # A file object, not the path: given a path, Pillow 13 maps uncompressed TIFF files into memory
            # and garbles those that have to be turned.
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
                return _decode(image)
    except Exception as error:  # a damaged file raises nearly anything
        raise InputError(f"{printable(path)}: {_reason(error)}") from None


def printable(path: Path) -> str:
    """Return a path as text in one line: one with control characters is escaped as in Python code."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def _reason(error: Exception) -> str:
    """Return what is wrong with a file, in one line."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return "is no PNG, JPEG, WebP, BMP, TIFF or GIF file, or is damaged"
    if isinstance(error, Image.DecompressionBombError):  # Pillow refuses before it gives the size
        return f"has more than {MAX_PIXELS:,} pixels; make it smaller"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    message = " ".join(str(error).split()) or type(error).__name__
    return f"is damaged ({message:.100})"


def _check_file(path: Path) -> None:
    """Refuse whatever is no file with content before it is opened; opening a pipe could wait for ever."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        os.listdir(path)  # raises PermissionError where it may not be read
        raise InputError("is a folder without pictures")
    if not stat.S_ISREG(status.st_mode):
        raise InputError("is no regular file")
    if not status.st_size:
        raise InputError("is empty (0 bytes)")


def _check_size(width: int, height: int) -> None:
    size = f"{width:,} x {height:,} pixels"
    if width * height > MAX_PIXELS:
        raise InputError(f"has {size}, more than {MAX_PIXELS:,}; make it smaller")
    if min(width, height) < MIN_SIDE:
        raise InputError(f"has {size}, and no side may be shorter than {MIN_SIDE}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise InputError(f"has {size}, and no side may be more than {MAX_ASPECT} times the other")


def _decode(image: Image.Image) -> np.ndarray:
    _check_size(*image.size)
    if min(image.size) >= 2 * DRAFT_SIDE:
        image.draft(None, (DRAFT_SIDE, DRAFT_SIDE))  # decodes JPEG at 1/2, 1/4 or 1/8; no other format
    image.load()
    with contextlib.suppress(Exception):  # a picture with damaged EXIF data is used as it is
        ImageOps.exif_transpose(image, in_place=True)
    image = _to_8_bit(image)
    return np.array(image.reduce(max(min(image.size) // DRAFT_SIDE, 1)))


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Return the picture in mode L, RGB or RGBA."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):  # convert("L") would clip them to white
        return Image.fromarray(_scale_levels(np.asarray(image)))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _scale_levels(levels: np.ndarray) -> np.ndarray:
    """Scale grey levels of 16 bits, 32 bits or floating point to uint8.

    Unsigned 16-bit levels are divided by 257. The other types do not say which level is white: it is taken to
    be the smallest of 1 (floating point only), 255 and 65,535 that no level exceeds. Levels that lie outside
    0..65,535 are stretched so that the darkest becomes black and the brightest white.
    """
    if levels.dtype.kind == "u":
        return np.round(levels / 257).astype(np.uint8)
    if not np.isfinite(levels).all():
        raise InputError("holds levels that are NaN or infinite")
    low, high = float(levels.min()), float(levels.max())
    whites = (1.0, 255.0, 65535.0) if levels.dtype.kind == "f" else (255.0, 65535.0)
    if low >= 0 and high <= whites[-1]:
        low, high = 0.0, next(white for white in whites if high <= white)
    return np.round((levels.astype(np.float64) - low) * (255 / (high - low or 1))).astype(np.uint8)
