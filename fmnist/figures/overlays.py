"""Attribution maps drawn over images: image, heat map and overlay; models side by side; averages of classes.

Only positive evidence is coloured. Where there is none, a grey panel says so instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from fmnist.core.constants import IMAGE_SIZE
from fmnist.figures.canvas import GREEN, INK, STYLE, VERMILLION, as_levels

HEAT = colormaps["inferno"]  # its lightness rises evenly: colour-blind readers and greyscale prints keep it
NOTHING = 1e-6  # evidence below this is rounding
OPACITY = 0.85  # of the strongest evidence in an overlay
PALE = 0.7  # of an image's darkness, below an overlay: colour has to show on it
TILE, GAP, BAR = 1.4, 0.14, 0.09  # inches
CAPTION, HEADING, LINE, MARGIN = 0.42, 0.32, 0.18, 0.2
SCALE = 0.62  # of a colour scale with its numbers
GREY, FRAME = 0.92, "#CCCCCC"


@dataclass(frozen=True)
class Panel:
    """An explained image.

    Attributes:
        image: ``(28, 28)``, uint8 or floats in [0, 1].
        evidence: ``(28, 28)``; None where a model cannot be explained so.
        caption: Up to two lines above the image.
        question: Up to two lines above the evidence: what it is for.
        right: Whether the prediction is right, shown by a green or red frame; None for a plain one.
    """

    image: ArrayLike
    evidence: ArrayLike | None
    caption: str = ""
    question: str = ""
    right: bool | None = None


@rc_context(STYLE)
def panel_grid(panels: Sequence[Panel], title: str, limit: float | None = None) -> Figure:
    """Draw image, heat map and overlay of every panel, with the colour scale, two panels a row.

    Args:
        panels: At least one.
        title: A heading for the whole figure.
        limit: Top of the colour scale; None for the strongest evidence of each panel.

    Raises:
        ValueError: An array has another shape or type.
    """
    columns = min(2, len(panels))
    figure, cells = _layout(-(-len(panels) // columns), columns, 3, title)
    for cell, panel in zip(cells, panels, strict=False):
        top = strength(panel.evidence) if limit is None else limit
        image, heat, overlay = cell
        _draw_image(image, panel.image, panel.caption)
        _frame(image, panel.right)
        _draw_heat(heat, panel.evidence, top, panel.question)
        _draw_overlay(overlay, panel, top)
        if strength(panel.evidence) > NOTHING:
            _draw_scale(overlay, top)
    return figure


@rc_context(STYLE)
def comparison(rows: Sequence[Sequence[Panel]], names: Sequence[str], title: str) -> Figure:
    """Draw a row for each image: the image, then its overlay by every model that ``names`` lists.

    The colour scales of the overlays differ, because the logits of two models have no common unit.
    """
    figure, cells = _layout(len(rows), 1, len(names) + 1, title, caption=0.5, top=0.25, space=GAP)
    for cell, row in zip(cells, rows, strict=True):
        _draw_image(cell[0], row[0].image, row[0].caption)
        for ax, panel in zip(cell[1:], row, strict=True):
            _draw_overlay(ax, panel, strength(panel.evidence), panel.question)
            _frame(ax, panel.right)
    for ax, name in zip(cells[0][1:], names, strict=True):
        ax.annotate(
            name, (0.5, 1), (0, 36), "axes fraction", "offset points",
            ha="center", va="bottom", fontsize=9, fontweight="bold",
        )  # fmt: skip
    return figure


@rc_context(STYLE)
def class_averages(panels: Sequence[Panel], title: str) -> Figure:
    """Draw mean image, mean evidence and overlay of every class, one class a column, on one colour scale."""
    figure, rows = _layout(3, 1, len(panels), title, caption=0.06, top=CAPTION - 0.06)
    limit = max(strength(panel.evidence) for panel in panels)
    for place, panel in enumerate(panels):
        image, heat, overlay = (row[place] for row in rows)
        _draw_image(image, panel.image, panel.caption)
        _draw_heat(heat, panel.evidence, limit, "")
        _draw_overlay(overlay, panel, limit)
    _draw_scale(rows[1][-1], limit)
    return figure


def strength(evidence: ArrayLike | None) -> float:
    """Return the strongest evidence of a map, 0 for none."""
    return 0.0 if evidence is None else max(float(np.max(evidence)), 0.0)


def blend(darkness: NDArray[Any], shares: NDArray[Any]) -> NDArray[np.float64]:
    """Lay evidence over a pale picture, and hide the more of it the stronger the evidence is.

    Args:
        darkness: Of the picture, (H, W) in [0, 1], 0 for white.
        shares: Of the strongest evidence, (H, W) in [0, 1].

    Returns:
        Colours (H, W, 3) in [0, 1].
    """
    opacity = OPACITY * shares[..., None]
    colours = np.asarray(HEAT(shares))[..., :3]
    return (1 - PALE * darkness[..., None]) * (1 - opacity) + colours * opacity


def _layout(
    rows: int,
    blocks: int,
    tiles: int,
    title: str,
    caption: float = CAPTION,
    top: float = 0.0,
    space: float = SCALE,
) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure of square tiles and its cells, row by row: ``blocks`` a row, ``tiles`` axes each.

    In inches, ``caption`` is the height above every row, ``top`` more height above the first row, and
    ``space`` the width at the right of every cell. The lines of the title are broken to fit.
    """
    across = tiles * (TILE + GAP) + space
    width = 2 * MARGIN + blocks * across - GAP
    title = "\n".join(fill(line, int(width * 12)) for line in title.split("\n"))
    head = MARGIN + HEADING + LINE * title.count("\n") + top
    height = head + rows * (TILE + caption) + (rows - 1) * GAP / 2 + MARGIN
    figure = Figure(figsize=(width, height))
    figure.text(MARGIN / width, 1 - MARGIN / height, title, ha="left", va="top", fontsize=10)
    cells = []
    for row in range(rows):
        bottom = height - head - (row + 1) * (TILE + caption) - row * GAP / 2
        for block in range(blocks):
            lefts = [MARGIN + block * across + tile * (TILE + GAP) for tile in range(tiles)]
            boxes = [(left / width, bottom / height, TILE / width, TILE / height) for left in lefts]
            cells.append([figure.add_axes(box) for box in boxes])
            for ax in cells[-1]:
                ax.axis("off")
    return figure, cells


def _draw_image(ax: Axes, image: ArrayLike, caption: str = "") -> None:
    """Draw an image dark on white."""
    ax.imshow(as_levels(image, "image", ndim=2), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    _write(ax, caption)
    _frame(ax)


def _draw_heat(ax: Axes, evidence: ArrayLike | None, limit: float, question: str) -> None:
    """Draw a map in colours from 0 to ``limit``, or say that there is nothing to draw."""
    if strength(evidence) > NOTHING:
        ax.imshow(_shares(evidence, limit), cmap=HEAT, vmin=0, vmax=1, interpolation="nearest")
    else:
        ax.imshow(np.full((IMAGE_SIZE, IMAGE_SIZE, 3), GREY), interpolation="nearest")
        _say_nothing(ax, evidence)
    _write(ax, question)
    _frame(ax)


def _draw_overlay(ax: Axes, panel: Panel, limit: float, question: str = "") -> None:
    """Draw the image under its evidence, which hides the more of it the stronger it is."""
    darkness = as_levels(panel.image, "image", ndim=2)
    if strength(panel.evidence) > NOTHING:
        colours = blend(darkness, _shares(panel.evidence, limit))
    else:
        colours = 0.25 * (1 - PALE * darkness[..., None]) + 0.75 * GREY * np.ones(3)
        _say_nothing(ax, panel.evidence)
    ax.imshow(colours, interpolation="nearest")
    _write(ax, question)
    _frame(ax)


def _say_nothing(ax: Axes, evidence: ArrayLike | None) -> None:
    text = "not possible\nfor this model" if evidence is None else "no evidence\nfor this class"
    centre = (IMAGE_SIZE - 1) / 2
    ax.text(centre, centre, text, ha="center", va="center", fontsize=8, color=INK)


def _draw_scale(ax: Axes, limit: float) -> None:
    """Draw the colour scale from 0 to ``limit`` at the right of a tile."""
    scale = ax.inset_axes((1 + GAP / TILE, 0, BAR / TILE, 1))
    bar = ax.figure.colorbar(ScalarMappable(Normalize(0, limit), HEAT), cax=scale)
    bar.ax.yaxis.set_major_locator(MaxNLocator(3))
    bar.ax.tick_params(labelsize=6.5, length=0, pad=2)
    bar.outline.set_visible(False)


def _write(ax: Axes, text: str) -> None:
    ax.text(0, 1 + 0.05 / TILE, text, transform=ax.transAxes, ha="left", va="bottom", fontsize=7)


def _frame(ax: Axes, right: bool | None = None) -> None:
    """Frame a tile: plainly, or in the colour of a right or a wrong prediction."""
    colour, thickness = (FRAME, 0.6) if right is None else (GREEN if right else VERMILLION, 2.0)
    outline = Rectangle((0, 0), 1, 1, transform=ax.transAxes, fill=False, edgecolor=colour)
    outline.set(linewidth=thickness, clip_on=False)
    ax.add_patch(outline)


def _shares(evidence: Any, limit: float) -> NDArray[np.float64]:
    """Return evidence (28, 28) as shares of ``limit``, in [0, 1]."""
    values = np.asarray(evidence, np.float64)
    if values.shape != (IMAGE_SIZE, IMAGE_SIZE):
        raise ValueError(f"evidence must have the shape (28, 28), got {values.shape}")
    return np.clip(values / limit, 0, 1)
