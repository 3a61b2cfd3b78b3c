"""A heat map of accuracies: the more is lost, the stronger the colour."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from fmnist.figures.canvas import ERRORS, INK, STYLE

GAP = 0.35  # rows, between groups


@rc_context(STYLE)
def heat_map(
    rows: Mapping[str, Sequence[float]],
    columns: Sequence[str],
    title: str,
    xlabel: str = "",
    breaks: Collection[int] = (),
) -> Figure:
    """Draw accuracies in [0, 1], a row each, shaded by what is missing to 1, with the mean of each row.

    Args:
        rows: By name, one value a column; a single value stands for all columns.
        columns: Names, from left to right.
        title: A heading.
        xlabel: What the columns are.
        breaks: Rows before which a gap is left.

    Raises:
        ValueError: A row has neither one value nor as many as there are columns.
    """
    wide = len(columns)
    figure = Figure(figsize=(2.4 + 0.72 * wide, 1.1 + 0.28 * len(rows)), layout="constrained")
    ax = figure.subplots()
    shades = Normalize(0, 1)
    places = np.arange(len(rows), dtype=float)
    for first in breaks:
        places[first:] += GAP
    for place, (name, values) in zip(places, rows.items(), strict=True):
        if len(values) not in (1, wide):
            raise ValueError(f"{name!r} must have 1 or {wide} values, got {len(values)}")
        width = wide / len(values)
        for column, value in enumerate([*values, float(np.mean(values))]):
            mean = column == len(values)
            left, span = (wide + GAP, 1.0) if mean else (column * width, width)
            colour = ERRORS(shades(1 - value))
            ax.barh(place, span - 0.02, height=0.94, left=left, color=[colour], linewidth=0)
            ink = "white" if np.dot(colour[:3], (0.3, 0.6, 0.1)) < 0.5 else INK
            weight = "bold" if mean else "normal"
            ax.text(
                left + span / 2, place, f"{value:.3f}", ha="center", va="center", color=ink, weight=weight
            )
    ax.set_yticks(places, list(rows))
    ax.set_ylim(places[-1] + 0.6, -0.6)
    ax.set_xlim(0, wide + GAP + 1)
    ax.set_xticks([*(np.arange(wide) + 0.5), wide + GAP + 0.5], [*columns, "mean"])
    ax.xaxis.tick_top()
    ax.xaxis.set_label_position("top")
    ax.set_xlabel(xlabel)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=9.5)
    return figure
