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
from fmnist.core.statistics import most_confident
from fmnist.core.tables import counted, rounded_down
from fmnist.figures.canvas import DPI, STYLE, as_levels, paste, pixel_page

ZOOM = 5  # output pixels for one image pixel
SIDE = IMAGE_SIZE * ZOOM
COLUMNS = 8  # images in a row
WORST = 32  # errors drawn
GAP = 14
MARGIN = 24
TITLE_SIZE = 7.5
LINE = round(TITLE_SIZE * 1.3 * DPI / 72)
HEADING = 40
FRAME = "#CCCCCC"


@rc_context(STYLE)
def image_grid(images: ArrayLike, titles: Sequence[str], title: str) -> Figure:
    """Draw images in rows of ``COLUMNS``, dark on white as in the photographs.

    Args:
        images: ``(N, 28, 28)``, uint8 or floats in [0, 1] (clipped); none at all gives an empty grid.
        titles: One text an image, written above it; lines are split at newlines.
        title: A heading for the whole grid.

    Raises:
        ValueError: The images have another shape or type.
    """
    pixels = as_levels(images, "images", ndim=3)
    columns = max(1, min(COLUMNS, len(pixels)))
    lines = [text.split("\n") for text in titles]
    text_height = LINE * max(map(len, lines), default=0)
    widths = (round(_width(line, TITLE_SIZE)) for text in lines for line in text)
    across = max([SIDE, *widths]) + GAP
    down = text_height + SIDE + GAP
    rows = -(-len(pixels) // columns)
    width = max(columns * across - GAP, round(_width(title, 10)))
    figure, ax = pixel_page(width, max(rows * down - GAP, 0), MARGIN, HEADING)
    ax.text(0, -HEADING, title, ha="left", va="top", size=10)
    for place, (image, text) in enumerate(zip(pixels, lines, strict=True)):
        row, column = divmod(place, columns)
        centre, top = (column + 0.5) * across - GAP / 2, row * down + text_height
        _tile(ax, image, centre - SIDE / 2, top)
        for above, line in enumerate(reversed(text)):
            ax.text(centre, top - 8 - above * LINE, line, ha="center", va="baseline", size=TITLE_SIZE)
    return figure


def worst_errors(
    images: NDArray[np.uint8],
    true: NDArray[np.int64],
    predicted: NDArray[np.int64],
    probability: NDArray[np.float64],
    classes: Sequence[str],
    written: bool = True,
) -> Figure:
    """Draw the most confident errors first, each with true class, predicted class and probability.

    Images are ``(N, 28, 28)``, labels, predicted labels and the probabilities of these ``(N,)``; with
    ``written=False`` the probabilities only give the order. At most ``WORST`` errors are drawn.
    """
    wrong = np.flatnonzero(true != predicted)
    worst = most_confident(wrong, probability, WORST)
    numbers = [f" {rounded_down(probability[i])}" if written else "" for i in worst]
    titles = [
        f"{classes[true[i]]} →\n{classes[predicted[i]]}{n}" for i, n in zip(worst, numbers, strict=True)
    ]
    which = f"The {len(worst)} most confident of " if len(worst) < len(wrong) else "All "
    errors = f"{which if len(wrong) > 1 else ''}{counted(len(wrong), 'error')}" if len(worst) else "No errors"
    heading = f"{errors} in {counted(len(images), 'image')}{' (true → predicted)' * bool(len(worst))}"
    return image_grid(images[worst], titles, heading)


@rc_context(STYLE)
def augmented_grid(originals: ArrayLike, augmented: ArrayLike) -> Figure:
    """Draw each original at the left of its row and its augmented versions beside it.

    The originals are ``(rows, 28, 28)``, the others ``(rows, k, 28, 28)``, uint8 or floats in [0, 1].
    """
    firsts, versions = as_levels(originals, "originals", ndim=3), as_levels(augmented, "augmented", ndim=4)
    across, start = SIDE + GAP // 2, SIDE + 3 * GAP
    width, height = start + versions.shape[1] * across - GAP // 2, LINE + len(firsts) * across - GAP // 2
    figure, ax = pixel_page(width, height, MARGIN)
    ax.text(SIDE / 2, LINE - 8, "original", ha="center", va="baseline")
    ax.text(start, LINE - 8, "augmented", ha="left", va="baseline")
    for row, (first, others) in enumerate(zip(firsts, versions, strict=True)):
        top = LINE + row * across
        _tile(ax, first, 0, top)
        for column, other in enumerate(others):
            _tile(ax, other, start + column * across, top)
    return figure


def _tile(ax: Axes, image: NDArray[np.float64], left: float, top: float) -> None:
    """Draw one image with its upper left corner at ``(left, top)``, and its frame."""
    paste(ax, image, left, top, ZOOM, cmap="gray_r", vmin=0, vmax=1)
    ax.add_patch(Rectangle((left, top), SIDE, SIDE, fill=False, edgecolor=FRAME, linewidth=0.5))


def _width(text: str, size: float) -> float:
    """Return the width of one line of text in output pixels."""
    return TextPath((0, 0), text, size=size, prop=FontProperties()).get_extents().width * DPI / 72
