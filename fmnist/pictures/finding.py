"""Which files are meant: pictures named one by one, and those in folders."""

import os
from pathlib import Path

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif")
"""Names in a folder that are taken for pictures, in capitals, too."""


def find_pictures(paths: list[Path]) -> list[Path]:
    """Return the pictures meant by files and folders, each once, in the order given.

    A folder stands for the files in it and below whose names end in one of ``SUFFIXES``, in name
    order; hidden ones and links to folders are left out. Whatever cannot be looked into, or holds no
    picture, stands for itself, so that reading it says why: nothing that was asked for is lost.

    Args:
        paths: Files, taken whatever their names, and folders.
    """
    found = [picture for path in paths for picture in (_below(path) if os.path.isdir(path) else [path])]
    return list(dict.fromkeys(found))


def _below(folder: Path) -> list[Path]:
    closed: list[Path] = []
    pictures = []
    walk = os.walk(folder, onerror=lambda error: closed.append(Path(error.filename)))
    for parent, folders, names in walk:
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        pictures += [Path(parent, name) for name in names if _is_picture(name)]
    return sorted(pictures + closed) or [folder]


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
