"""Find picture files and decode them; the error for a file that cannot be used is one line."""

import contextlib
import os
import stat
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from fmnist.core.errors import InputError, one_line
from fmnist.pictures.file_types import FORMATS, RAW, SUFFIXES, find_other_type

WHITES = (1, 255, 1023, 4095, 16_383, 65_535)
"""What levels of 16 bits, 32 bits or floating point can mean by white: cameras have 10, 12 or 14 bits."""
LEAST_WHITE = 16
"""If the brightest level is above 1 but below this, it is white: floating point may exceed 1 slightly."""
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
    by name, without hidden ones and without links to folders. These include pictures of formats that are not
    read. A folder that cannot be read or holds no picture is returned itself. Reading any of these raises an
    error that says why.
    """
    pictures: list[Path] = []
    for path in paths:
        if os.path.isdir(path):
            unreadable: list[Path] = []
            files = [file for file in _walk(path, unreadable) if _is_named_as_picture(file)]
            pictures += sorted(files + unreadable) or [path]
        else:
            pictures.append(path)
    return list(dict.fromkeys(pictures))


def find_other_files(paths: list[Path]) -> list[Path]:
    """Return the files of folders that ``find_pictures`` leaves out, without hidden ones, sorted by name."""
    files = (file for path in paths if os.path.isdir(path) for file in _walk(path, []))
    return sorted({file for file in files if not _is_named_as_picture(file)})


def _walk(folder: Path, unreadable: list[Path]) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders, without hidden ones; gather folders that are closed."""
    walk = os.walk(folder, onerror=lambda error: unreadable.append(Path(error.filename)))
    for parent, folders, names in walk:
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _is_named_as_picture(file: Path) -> bool:
    return file.name.lower().endswith(SUFFIXES)


def read_picture(path: Path) -> np.ndarray:
    """Read the picture of a file, see ``read_first_page``."""
    return read_first_page(path)[0]


def read_first_page(path: Path) -> tuple[np.ndarray, str]:
    """Read a picture upright, as its EXIF orientation says; of several pages or frames, the first.

    Large pictures are reduced by a whole factor (their shorter side keeps 400 pixels or more), because the
    result of all further steps is 28 x 28.

    Args:
        path: A file of one of ``FORMATS``, recognised by its content.

    Returns:
        uint8: grey (H, W); RGB (H, W, 3); RGBA (H, W, 4), not premultiplied, where it has transparency. And
        a remark on the other pages, e.g. ``"first of 3 pages"``; empty if there are none.

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
                if image.format == "TIFF" and path.suffix.lower() in RAW.suffixes.split():
                    raise UnidentifiedImageError  # only the preview would be read
                return _decode(image, file), _pages_remark(image)
    except UnidentifiedImageError:
        raise InputError(f"{printable(path)}: {_unidentified(path)}") from None
    except Exception as error:  # a damaged file raises nearly anything
        raise InputError(f"{printable(path)}: {_reason(error)}") from None


def printable(path: Path) -> str:
    """Return a path as text in one line: one with control characters is escaped as in Python code."""
    return str(path) if str(path).isprintable() else ascii(str(path))


def _unidentified(path: Path) -> str:
    """Return what a file is that no decoder recognises, and what to do."""
    with path.open("rb") as file:
        other = find_other_type(path.name, file.read(1024))
    if other is not None:
        return f"is {other.name} and is not read: {other.remedy}"
    *names, last = FORMATS
    return f"is no {', '.join(names)} or {last} file, or is damaged"


def _reason(error: Exception) -> str:
    """Return what is wrong with a file, in one line."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):  # Pillow refuses before it gives the size
        return f"has more than {MAX_PIXELS:,} pixels; make it smaller"
    if isinstance(error, MemoryError):
        return "does not fit into memory"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    return f"is damaged ({one_line(error, 100)})"


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


def _decode(image: ImageFile.ImageFile, file: BinaryIO) -> np.ndarray:
    _check_size(*image.size)
    if min(image.size) >= 2 * DRAFT_SIDE:
        image.draft(None, (DRAFT_SIDE, DRAFT_SIDE))  # decodes JPEG at 1/2, 1/4 or 1/8; no other format
    tiles = list(image.tile)
    image.load()
    if image.mode in ("RGB", "RGBA") and np.max(image.getextrema()[:3]) <= WHITES[-2] // 256:
        _restore_low_bytes(image, file, tiles)
    with contextlib.suppress(Exception):  # a picture with damaged EXIF data is used as it is
        ImageOps.exif_transpose(image, in_place=True)
    picture = _to_8_bit(image)
    return np.array(picture.reduce(max(min(picture.size) // DRAFT_SIDE, 1)))


def _pages_remark(image: ImageFile.ImageFile) -> str:
    """Return which of its pages or frames a decoded picture is; nothing if it is the only one."""
    pages = 1
    if image.format != "MPO":  # whose other pictures are previews, or of a second lens
        with contextlib.suppress(Exception):  # of damaged pages, the first one is used
            pages = getattr(image, "n_frames", 1)
    noun = "pages" if image.format in ("TIFF", "HEIF") else "frames"
    return f"first of {pages:,} {noun}" if pages > 1 else ""


def _restore_low_bytes(image: Image.Image, file: BinaryIO, tiles: list[Any]) -> None:
    """Scale colours of 16 bits that fill 14 bits or fewer: Pillow keeps the high bytes only, nearly black.

    Decoded again in the other byte order, the file gives the low bytes.
    """
    swapped = [tile._replace(args=_swap_bytes(tile.args)) for tile in tiles]
    if swapped == tiles:
        return  # no 16 bits, or an unusual layout
    file.seek(0)
    with Image.open(file, formats=FORMATS) as second:
        second.tile = swapped
        levels = np.asarray(image).astype(np.uint16) * 256 + np.asarray(second)
    parts = levels[..., :3], levels[..., 3:]  # the opacity may fill all 16 bits
    image.paste(Image.fromarray(np.concatenate([_scale_levels(part) for part in parts if part.size], axis=2)))


def _swap_bytes(args: Any) -> Any:
    """Return a decoder's arguments, whose first is the layout of the pixels, in the other byte order."""
    if isinstance(args, tuple):
        return (_swap_bytes(args[0]), *args[1:])
    if args == "LA;16B":  # Pillow cannot read grey levels with opacity in the other order
        return args
    other = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
    return args[:-4] + other.get(args[-4:], args[-4:]) if isinstance(args, str) else args


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Return the picture in mode L, RGB or RGBA."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):  # convert("L") would clip them to white
        has_white = image.format in ("PPM", "JPEG2000") and image.mode != "F"  # and Pillow scales to it
        return Image.fromarray(_scale_levels(np.asarray(image), WHITES[-1:] if has_white else WHITES))
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return image.convert("RGBA")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _scale_levels(levels: np.ndarray, whites: tuple[int, ...] = WHITES) -> np.ndarray:
    """Scale levels of 16 bits, 32 bits or floating point to uint8.

    Most files do not say which level is white: it is taken to be the least of ``whites`` that no level
    exceeds. Levels that lie outside 0..65,535 are stretched so that the darkest becomes black and the
    brightest white.
    """
    if not np.isfinite(levels).all():
        raise InputError("holds levels that are NaN or infinite")
    low, high = float(levels.min()), float(levels.max())
    if low >= 0 and high <= whites[-1]:
        white = next(white for white in whites if high <= white)
        low, high = 0.0, high if 1 < high < LEAST_WHITE else white
    return np.round((levels.astype(np.float64) - low) * (255 / (high - low or 1))).astype(np.uint8)
