"""Charts of accuracy: confusion matrix, bars by class, heat map, and the figures of a run's test set."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fmnist.core.statistics import class_scores, confusion_counts
from fmnist.figures.canvas import BLUE, CORRECT, ERRORS, FAINT, INK, STYLE
from fmnist.figures.grids import worst_errors

RIGHT, WRONG = Normalize(0, 1), PowerNorm(0.5, 0, 0.25, clip=True)
GAP = 0.35  # rows of a heat map, between groups


def outcome_figures(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    confidences: ArrayLike,
    classes: Sequence[str],
    name: str,
    probabilities: bool = True,
) -> dict[str, Figure]:
    """Draw confusion matrix, F1 by class and the most confident errors of a run on the test set.

    Args:
        images: uint8 ``(N, 28, 28)``.
        labels: ``(N,)``.
        confidences: ``(N, C)``, the largest is the prediction.
        classes: The ``C`` names.
        name: Of the model.
        probabilities: Whether the confidences are probabilities; others are not written beside the errors.
    """
    confidences = np.asarray(confidences)
    predicted = confidences.argmax(1)
    counts = confusion_counts(labels, predicted, len(classes))
    return {
        "confusion_matrix": confusion_matrix(counts, classes, f"{name} on the test set"),
        "class_f1": per_class_bars(class_scores(counts).f1, classes, "F1"),
        "worst_errors": worst_errors(
            images, labels, predicted, confidences.max(1), classes, written=probabilities
        ),
    }


@rc_context(STYLE)
def confusion_matrix(counts: NDArray[np.int64], classes: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix with recall: blue for right, orange for wrong, shaded by share of the row.

    The colour scale of the errors ends at 0.25 in every figure, so that neither the diagonal nor a better
    model hides them.

    Args:
        counts: Whole numbers ``(C, C)``; the row is the true class, the column the predicted one.
        classes: The ``C`` names.
        title: What was predicted; the accuracy is added to it.
    """
    hits, total = int(counts.trace()), int(counts.sum())
    figure = Figure(figsize=(7.6, 6.9), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[40, 1])
    ax = figure.add_subplot(grid[0, :])
    _draw_cells(ax, counts, classes)
    _write_recall(ax, counts)
    ax.set_title(f"{title}: accuracy {hits / total:.4f} ({hits:,} of {total:,})", pad=8)
    right, wrong = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    of = "share of the true class"
    _draw_key(right, f"right: {of}", ScalarMappable(RIGHT, CORRECT), [0, 0.25, 0.5, 0.75, 1])
    _draw_key(wrong, f"wrong: {of}", ScalarMappable(WRONG, ERRORS), [0, 0.01, 0.05, 0.1, 0.25])
    return figure


@rc_context(STYLE)
def per_class_bars(values: ArrayLike, classes: Sequence[str], xlabel: str) -> Figure:
    """Draw a value in [0, 1] of each class as a bar with its number, the classes from top to bottom."""
    figure = Figure(figsize=(6.4, 0.6 + 0.3 * len(classes)), layout="constrained")
    ax = figure.subplots()
    bars = ax.barh(range(len(classes)), values, height=0.72, color=BLUE)
    ax.bar_label(bars, fmt="%.3f", padding=3, fontsize=8)
    ax.set_yticks(range(len(classes)), classes)
    ax.set_ylim(len(classes) - 0.5, -0.5)
    ax.set_xlim(0, 1.08)
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.grid(visible=False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(xlabel)
    return figure


@rc_context(STYLE)
def heat_map(
    rows: Mapping[str, Sequence[float]],
    columns: Sequence[str],
    title: str,
    xlabel: str,
    gap_before: int,
) -> Figure:
    """Draw rows of accuracies in [0, 1], shaded by the distance from 1, with the mean of each row.

    A row has one value a column, or a single value that spans all columns. ``xlabel`` says what the columns
    are; ``gap_before`` is the row with which a second group begins.
    """
    wide = len(columns)
    figure = Figure(figsize=(2.4 + 0.72 * wide, 1.1 + 0.28 * len(rows)), layout="constrained")
    ax = figure.subplots()
    places = np.arange(len(rows), dtype=float)
    places[gap_before:] += GAP
    for place, values in zip(places, rows.values(), strict=True):
        width = wide / len(values)
        for column, value in enumerate([*values, float(np.mean(values))]):
            is_mean = column == len(values)
            left, span = (wide + GAP, 1.0) if is_mean else (column * width, width)
            colour = ERRORS(1 - value)
            ax.barh(place, span - 0.02, height=0.94, left=left, color=[colour], linewidth=0)
            ink = _legible(np.asarray(colour))
            text = ax.text(left + span / 2, place, f"{value:.3f}", ha="center", va="center", color=ink)
            text.set_fontweight("bold" if is_mean else "normal")
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


def _draw_cells(ax: Axes, counts: NDArray[np.int64], classes: Sequence[str]) -> None:
    """Colour the cells of a confusion matrix, write the counts into them and name rows and columns."""
    size = len(classes)
    rates = counts / np.maximum(counts.sum(axis=1), 1)[:, None]
    colours = np.where(np.eye(size, dtype=bool)[..., None], CORRECT(RIGHT(rates)), ERRORS(WRONG(rates)))
    ax.imshow(colours, aspect="auto")
    for row, column in np.ndindex(size, size):
        ink = _legible(colours[row, column]) if counts[row, column] else FAINT
        ax.text(column, row, f"{counts[row, column]}", color=ink, ha="center", va="center", fontsize=8.5)
    ax.set_xticks(range(size), classes, rotation=35, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(size), classes)
    ax.set_xticks(np.arange(size - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(size - 1) + 0.5, minor=True)
    ax.grid(visible=False, which="major")
    ax.grid(which="minor", color="#E6E6E6", linewidth=0.7)
    ax.tick_params(which="both", length=0)
    ax.spines[:].set(visible=True, color="#E6E6E6")
    ax.set(xlabel="predicted class", ylabel="true class")


def _write_recall(ax: Axes, counts: NDArray[np.int64]) -> None:
    """Write the recall of every row at its right end; a row without samples has none."""
    rows = zip(counts.diagonal(), counts.sum(axis=1), strict=True)
    axis = ax.secondary_yaxis("right")
    axis.set_yticks(range(len(counts)), [f"{hits / total:.3f}" if total else "n/a" for hits, total in rows])
    axis.tick_params(length=0)
    axis.spines["right"].set_visible(False)
    axis.set_ylabel("recall", rotation=270, va="bottom")


def _draw_key(ax: Axes, label: str, colours: ScalarMappable, ticks: Sequence[float]) -> None:
    """Fill ``ax`` with the key of one colour scale; a scale that ends below 1 gets a pointed end."""
    extend = "max" if ticks[-1] < 1 else "neither"
    bar = ax.figure.colorbar(
        colours, cax=ax, orientation="horizontal", extend=extend, ticks=ticks, format="%g"
    )
    ax.minorticks_off()
    ax.tick_params(labelsize=8)
    bar.set_label(label, fontsize=8)
    bar.outline.set_visible(False)


def _legible(background: NDArray[np.float64]) -> str:
    """Return white or ink, whichever has more contrast to an RGB(A) colour (WCAG 2 contrast)."""
    linear = np.where(
        background[:3] <= 0.04045, background[:3] / 12.92, ((background[:3] + 0.055) / 1.055) ** 2.4
    )
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.066 else INK
