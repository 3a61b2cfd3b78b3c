"""What all figures share: colours, style, a page of output pixels, and a figure as PNG file or array."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fmnist.core.constants import IMAGE_SIZE
from fmnist.core.files import replacing

# Okabe and Ito, https://jfly.uni-koeln.de/color/: told apart by colour-blind readers too.
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, "#56B4E9", "#CC79A7")
INK, FAINT = "#222222", "#9A9A9A"
CORRECT = LinearSegmentedColormap.from_list("correct", ["#FFFFFF", "#6BAED6", BLUE, "#08436F"])
ERRORS = LinearSegmentedColormap.from_list("errors", ["#FFFFFF", "#FDB77F", VERMILLION])
DPI = 150
STYLE: dict[Any, Any] = {
    "figure.dpi": DPI,
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.edgecolor": "#B0B0B0",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.6,
    "xtick.color": "#B0B0B0",
    "ytick.color": "#B0B0B0",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": True,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "legend.fontsize": 8.5,
}


def as_levels(images: ArrayLike, name: str, ndim: int) -> NDArray[np.float64]:
    """Return images of 28 x 28 as float64 in [0, 1]: uint8 divided by 255, floats as they are.

    Raises:
        ValueError: They have another shape or type; ``name`` is named.
    """
    array = np.asarray(images)
    if array.ndim != ndim or array.shape[-2:] != (IMAGE_SIZE, IMAGE_SIZE):
        wanted = {2: "(28, 28)", 3: "(N, 28, 28)", 4: "(rows, k, 28, 28)"}[ndim]
        raise ValueError(f"{name} must have the shape {wanted}, got {array.shape}")
    if array.dtype != np.uint8 and not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} must be uint8, or floats in [0, 1], got {array.dtype}")
    return array / 255 if array.dtype == np.uint8 else array.astype(np.float64)


@rc_context(STYLE)
def save(figure: Figure, path: str | Path) -> None:
    """Write ``figure`` as a PNG, creating parent folders; a failure leaves ``path`` unchanged."""
    with replacing(Path(path)) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)


@rc_context(STYLE)
def as_image(figure: Figure) -> NDArray[np.uint8]:
    """Return ``figure`` as an RGB array, ``uint8 (H, W, 3)``."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image: NDArray[np.uint8] = np.array(canvas.buffer_rgba(), dtype=np.uint8)[..., :3]
    return image


def pixel_page(width: int, height: int, margin: int, heading: int = 0) -> tuple[Figure, Axes]:
    """Return a figure whose axes count output pixels, y downwards, so that images need no resampling.

    The upper left corner of the content, ``width`` by ``height``, is (0, 0); around it lies the margin, and
    above it the space for a heading.
    """
    # a hundredth of a pixel more, because matplotlib rounds 55 / 150 * 150 down to 54
    size = (width + 2 * margin + 0.01) / DPI, (height + heading + 2 * margin + 0.01) / DPI
    figure = Figure(figsize=size)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.axis("off")
    ax.set(xlim=(-margin, width + margin), ylim=(height + margin, -margin - heading))
    return figure, ax


def paste(ax: Axes, pixels: ArrayLike, left: float, top: float, zoom: int = 1, **style: Any) -> None:
    """Draw an image on a page, each of its pixels as a square of ``zoom`` output pixels."""
    height, width = np.shape(pixels)[:2]
    extent = (left, left + width * zoom, top + height * zoom, top)
    limits = ax.get_xlim(), ax.get_ylim()
    ax.imshow(pixels, extent=extent, interpolation="nearest", aspect="auto", **style)
    ax.set(xlim=limits[0], ylim=limits[1])  # which imshow changes
