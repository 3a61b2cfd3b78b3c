"""Test images as the reports embed them."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.data import source

EXPLANATIONS = 24
EXPLANATION_BYTES = 2_000_000


class Picture(NamedTuple):
    """An image and what is written below it.

    Attributes:
        address: A data URI.
        title: First line of the caption.
        details: Lines below it.
    """

    address: str
    title: str
    details: tuple[str, ...] = ()


def load_test_images(root: str, digests: Any) -> tuple[np.ndarray | None, str]:
    """Read the test images that a run was tested on, without downloading any.

    Args:
        root: Where to look first, see `fmnist.data.source.find`.
        digests: ``data_sha256`` of the run.

    Returns:
        uint8 (N, 28, 28) and an empty text; or None and why there are none.
    """
    try:
        folder = source.find(root)
        if folder is None:
            return None, f"The data set is not on this machine (--data.root {root}): no pictures."
        data = source.load(folder)
    except InputError as error:
        return None, f"No pictures: {error}"
    if data.sha256 != digests:
        return None, f"No pictures: {folder} holds other data than the run was tested on."
    return data.test_images.numpy(), ""


def picture(image: np.ndarray, title: str, *details: str) -> Picture:
    """Embed an image uint8 (28, 28), dark on white as the garments were photographed."""
    file = io.BytesIO()
    Image.fromarray(255 - image).save(file, "PNG", optimize=True)
    return Picture(_address(file.getvalue()), title, details)


def explanations(folder: Path) -> tuple[list[Picture], str]:
    """Embed the PNG files that scripts/explain.py left, as far as they fit.

    Returns:
        The pictures in the order of their names, and a line on what was left out.
    """
    paths = sorted(folder.glob("*.png"))
    chosen = list(_within(paths[:EXPLANATIONS], EXPLANATION_BYTES))
    left = len(paths) - len(chosen)
    note = f"{left} more in {folder}" if left else ""
    return [Picture(_address(path.read_bytes()), path.stem.replace("_", " ")) for path in chosen], note


def _within(paths: Iterable[Path], budget: int) -> Iterable[Path]:
    for path in paths:
        budget -= path.stat().st_size
        if budget >= 0:
            yield path


def _address(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
