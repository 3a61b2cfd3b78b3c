"""Grids of 28 x 28 images: any images, the worst errors, augmented images beside their originals.

A grid is laid out in output pixels; one image pixel fills a whole number of them, so nothing is resampled.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextPath
from numpy.typing import ArrayLike, NDArray

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.images import to_float
from fmnist.core.tables import counted, rounded_down
from fmnist.figures.canvas import DPI, STYLE, paste, pixel_page

ZOOM = 5  # output pixels for one image pixel
SIDE = IMAGE_SIZE * ZOOM
GAP = 14
MARGIN = 24
TITLE_SIZE = 7.5
LINE = round(TITLE_SIZE * 1.3 * DPI / 72)
HEADING = 40
FRAME = "#CCCCCC"


@rc_context(STYLE)
def image_grid(
    images: ArrayLike,
    titles: Sequence[str] | None = None,
    columns: int = 8,
    title: str | None = None,
) -> Figure:
    """Draw images row by row, dark on white as in the photographs.

    Args:
        images: ``(N, 28, 28)``, uint8 or floats in [0, 1] (clipped); none at all gives an empty grid.
        titles: One text an image, written above it; lines are split at newlines.
        columns: Images in a row.
        title: A heading for the whole grid.

    Raises:
        ValueError: The images have another shape, or there is another number of titles.
    """
    pixels = _checked(images, "images", ndim=3)
    if titles is not None and len(titles) != len(pixels):
        raise ValueError(f"titles must have {len(pixels)} entries, one an image, got {len(titles)}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    columns = max(1, min(columns, len(pixels)))
    lines = [line for text in titles or () for line in text.split("\n")]
    text_height = LINE * max((text.count("\n") + 1 for text in titles or ()), default=0)
    across = max([SIDE, *(round(_width(line, TITLE_SIZE)) for line in lines)]) + GAP
    down = text_height + SIDE + GAP
    rows = -(-len(pixels) // columns)
    figure, ax = _page(columns * across - GAP, rows * down - GAP, title)
    for place, image in enumerate(pixels):
        row, column = divmod(place, columns)
        centre, top = (column + 0.5) * across - GAP / 2, row * down + text_height
        _tile(ax, image, centre - SIDE / 2, top)
        for above, line in enumerate(reversed(titles[place].split("\n") if titles else [])):
            ax.text(centre, top - 8 - above * LINE, line, ha="center", va="baseline", size=TITLE_SIZE)
    return figure


def worst_errors(
    images: ArrayLike,
    true: ArrayLike,
    predicted: ArrayLike,
    probability: ArrayLike,
    classes: Sequence[str],
    number: int = 32,
    written: bool = True,
) -> Figure:
    """Draw the most confident errors first, each with true class, predicted class and probability.

    Images are as in ``image_grid``. Labels, predicted labels and the probabilities of these are ``(N,)``;
    with ``written=False`` the probabilities only give the order. At most ``number`` errors are drawn.
    """
    pixels = _checked(images, "images", ndim=3)
    true, predicted, probability = np.asarray(true), np.asarray(predicted), np.asarray(probability)
    for name, array in (("true", true), ("predicted", predicted), ("probability", probability)):
        if array.shape != (len(pixels),):
            wanted = f"({len(pixels)},) like the images"
            raise ValueError(f"{name} must have the shape {wanted}, got {array.shape}")
    wrong = np.flatnonzero(true != predicted)
    worst = wrong[np.argsort(-probability[wrong], kind="stable")][:number]
    numbers = [f" {rounded_down(probability[i])}" if written else "" for i in worst]
    titles = [
        f"{classes[true[i]]} →\n{classes[predicted[i]]}{n}" for i, n in zip(worst, numbers, strict=True)
    ]
    which = f"The {len(worst)} most confident of " if len(worst) < len(wrong) else "All "
    errors = f"{which if len(wrong) > 1 else ''}{counted(len(wrong), 'error')}" if len(worst) else "No errors"
    heading = f"{errors} in {counted(len(pixels), 'image')}{' (true → predicted)' * bool(len(worst))}"
    return image_grid(pixels[worst], titles, title=heading)


@rc_context(STYLE)
def augmented_grid(originals: ArrayLike, augmented: ArrayLike) -> Figure:
    """Draw each original at the left of its row and its augmented versions beside it.

    The originals are ``(rows, 28, 28)``, the others ``(rows, k, 28, 28)``, uint8 or floats in [0, 1].
    """
    firsts, versions = _checked(originals, "originals", ndim=3), _checked(augmented, "augmented", ndim=4)
    if len(firsts) != len(versions):
        raise ValueError(
            f"augmented must have {len(firsts)} rows like originals, got the shape {versions.shape}"
        )
    across, start = SIDE + GAP // 2, SIDE + 3 * GAP
    figure, ax = _page(start + versions.shape[1] * across - GAP // 2, LINE + len(firsts) * across - GAP // 2)
    ax.text(SIDE / 2, LINE - 8, "original", ha="center", va="baseline")
    ax.text(start, LINE - 8, "augmented", ha="left", va="baseline")
    for row, (first, others) in enumerate(zip(firsts, versions, strict=True)):
        top = LINE + row * across
        _tile(ax, first, 0, top)
        for column, other in enumerate(others):
            _tile(ax, other, start + column * across, top)
    return figure


def _checked(images: ArrayLike, name: str, ndim: int) -> NDArray[np.float32]:
    """Return images as floats in [0, 1], or raise ValueError unless their shape is ``(..., 28, 28)``."""
    array = np.asarray(images)
    if array.ndim != ndim or array.shape[-2:] != (IMAGE_SIZE, IMAGE_SIZE):
        wanted = "(N, 28, 28)" if ndim == 3 else "(rows, k, 28, 28)"
        raise ValueError(f"{name} must have the shape {wanted}, got {array.shape}")
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} must be uint8 or floats in [0, 1], got {array.dtype}")
    return to_float(array) if array.dtype == np.uint8 else array.astype(np.float32)


def _page(width: int, height: int, title: str | None = None) -> tuple[Figure, Axes]:
    """Return a page for a grid, with its title."""
    if title:
        width = max(width, round(_width(title, 10)))
    heading = HEADING if title else 0
    figure, ax = pixel_page(width, max(height, 0), MARGIN, heading)
    if title:
        ax.text(0, -heading, title, ha="left", va="top", size=10)
    return figure, ax


def _tile(ax: Axes, image: NDArray[np.float32], left: float, top: float) -> None:
    """Draw one image with its upper left corner at ``(left, top)``, and its frame."""
    paste(ax, image, left, top, ZOOM, cmap="gray_r", vmin=0, vmax=1)
    ax.add_patch(Rectangle((left, top), SIDE, SIDE, fill=False, edgecolor=FRAME, linewidth=0.5))


def _width(text: str, size: float) -> float:
    """Return the width of one line of text in output pixels."""
    return TextPath((0, 0), text, size=size, prop=FontProperties()).get_extents().width * DPI / 72
