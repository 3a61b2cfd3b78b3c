"""Charts of one run or several: learning curves, confusion matrix, bars by class."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from fmnist.figures.canvas import BLUE, COLOURS, CORRECT, ERRORS, FAINT, GREEN, INK, ORANGE, STYLE

Curve = tuple[ArrayLike, ArrayLike]
Points = tuple[NDArray[np.float64], NDArray[np.float64]]
KEYS = ("train/loss", "val/loss", "train/accuracy", "val/accuracy", "learning_rate")
RIGHT, WRONG = Normalize(0, 1), PowerNorm(0.5, 0, 0.25, clip=True)


@rc_context(STYLE)
def learning_curves(history: Mapping[str, Curve]) -> Figure:
    """Draw loss and accuracy by epoch, training and validation together, and the learning rate if given.

    The best epoch is the first with the highest validation accuracy (without accuracies, the lowest
    validation loss). The accuracy axis starts at what is reached after a fifth of the training.

    Args:
        history: "train/loss", "val/loss", "train/accuracy", "val/accuracy", "learning_rate", each
            ``(epochs, values)``; any may be missing, other keys are ignored, and so are values that are not
            finite.

    Raises:
        ValueError: A curve's arrays differ in shape, or there is nothing to draw.
    """
    curves = {key: _finite_points(key, *history[key]) for key in KEYS if key in history}
    drawn = {key: points for key, points in curves.items() if len(points[0])}
    panels = [name for name in ("loss", "accuracy") if {f"train/{name}", f"val/{name}"} & drawn.keys()]
    if not panels:
        raise ValueError(f"history holds no finite loss or accuracy, only the keys {sorted(history)}")
    with_rate = "learning_rate" in drawn
    figure = Figure(figsize=(3.7 * len(panels) + 2.4 * with_rate, 3.3), layout="constrained")
    widths = [1.0] * len(panels) + [0.62] * with_rate
    axes = figure.subplots(1, len(widths), squeeze=False, width_ratios=widths)[0]
    best = _best_epoch(drawn)
    accuracies = [values for key, (_, values) in drawn.items() if key.endswith("/accuracy")]
    for ax, name in zip(axes, panels, strict=False):
        for stage, label, colour in (("train", "training", ORANGE), ("val", "validation", BLUE)):
            if f"{stage}/{name}" in drawn:
                _curve(ax, drawn[f"{stage}/{name}"], label=label, color=colour)
        _label_epochs(ax, name)
        if best is not None:
            _mark_best(ax, *best, drawn.get(f"val/{name}"))
        if name == "accuracy":
            ax.set_ylim(*_accuracy_limits(accuracies))
    legend = {
        label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(legend.values(), legend.keys(), loc="outside upper center", ncols=3)
    if with_rate:
        _curve(axes[-1], drawn["learning_rate"], color=GREEN)
        _label_epochs(axes[-1], "learning rate")
        axes[-1].set_ylim(bottom=0)
        axes[-1].yaxis.set_major_locator(MaxNLocator(5))
        axes[-1].yaxis.set_major_formatter("{x:g}")
    return figure


@rc_context(STYLE)
def confusion_matrix(counts: ArrayLike, classes: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix with recall: blue for right, orange for wrong, shaded by share of the row.

    The errors have a scale of their own that ends at 0.25, the same in every figure, so that neither the
    diagonal nor a better model hides them.

    Args:
        counts: Whole numbers ``(C, C)``; the row is the true class, the column the predicted one.
        classes: The ``C`` names.
        title: What was predicted; the accuracy is added to it.
    """
    counts = np.asarray(counts)
    size = len(classes)
    if counts.shape != (size, size):
        raise ValueError(
            f"counts must have the shape ({size}, {size}) for {size} classes, got {counts.shape}"
        )
    hits, total = int(counts.trace()), int(counts.sum())
    accuracy = f"accuracy {hits / total:.4f} ({hits:,} of {total:,})" if total else "no samples"
    figure = Figure(figsize=(7.6, 6.9), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[40, 1])
    ax = figure.add_subplot(grid[0, :])
    _draw_cells(ax, counts, classes)
    _write_recall(ax, counts)
    ax.set_title(f"{title}: {accuracy}", pad=8)
    right, wrong = figure.add_subplot(grid[1, 0]), figure.add_subplot(grid[1, 1])
    _draw_key(
        right, "right: share of the true class", ScalarMappable(RIGHT, CORRECT), [0, 0.25, 0.5, 0.75, 1]
    )
    _draw_key(
        wrong, "wrong: share of the true class", ScalarMappable(WRONG, ERRORS), [0, 0.01, 0.05, 0.1, 0.25]
    )
    return figure


@rc_context(STYLE)
def per_class_bars(values: Mapping[str, Sequence[float]], classes: Sequence[str], ylabel: str) -> Figure:
    """Draw one horizontal bar a class and series, from 0, with its number, in the order of ``classes``.

    Args:
        values: For each series, say a model or a measure, one value in [0, 1] a class.
        classes: The names, from top to bottom.
        ylabel: What the values measure, written along their axis.
    """
    if not 1 <= len(values) <= len(COLOURS):
        raise ValueError(f"values must hold 1 to {len(COLOURS)} series, got {len(values)}")
    for name, series in values.items():
        if np.shape(series) != (len(classes),):
            raise ValueError(f"{name!r} must have the shape ({len(classes)},), got {np.shape(series)}")
    thickness = 0.78 / len(values)
    height = 0.6 + len(classes) * max(0.3, 0.17 * len(values) + 0.08)
    figure = Figure(figsize=(6.4, height), layout="constrained")
    ax = figure.subplots()
    for place, (name, series) in enumerate(values.items()):
        centres = np.arange(len(classes)) + (place - (len(values) - 1) / 2) * thickness
        bars = ax.barh(
            centres, np.nan_to_num(series), height=thickness * 0.92, color=COLOURS[place], label=name
        )
        texts = [f"{value:.3f}" if np.isfinite(value) else "n/a" for value in series]
        ax.bar_label(bars, texts, padding=3, fontsize=8 if len(values) == 1 else 7)
    ax.set_yticks(range(len(classes)), classes)
    ax.set_ylim(len(classes) - 0.5, -0.5)
    ax.set_xlim(0, 1.08)
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.grid(visible=False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(ylabel)
    if len(values) > 1:
        figure.legend(loc="outside upper center", ncols=min(len(values), 3))
    return figure


def _finite_points(key: str, epochs: ArrayLike, values: ArrayLike) -> Points:
    """Return one curve as two float arrays without the values that are not finite."""
    xs, ys = np.asarray(epochs, float), np.asarray(values, float)
    if xs.ndim != 1 or xs.shape != ys.shape:
        raise ValueError(f"{key}: epochs and values must be 1-d and alike, got {xs.shape} and {ys.shape}")
    finite = np.isfinite(ys)
    return xs[finite], ys[finite]


def _best_epoch(curves: Mapping[str, Points]) -> tuple[float, str] | None:
    """Return the best epoch and the validation measure that says so, or None without validation."""
    for measure, best in (("accuracy", np.argmax), ("loss", np.argmin)):
        if f"val/{measure}" in curves:
            epochs, values = curves[f"val/{measure}"]
            return float(epochs[best(values)]), measure
    return None


def _accuracy_limits(series: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Return axis limits that hold every value from a fifth of the training on, and end just above 1."""
    settled = np.concatenate([values[len(values) // 5 :] for values in series])
    margin = max(0.12 * np.ptp(settled), 0.005)
    return max(0.0, settled.min() - margin), min(1.005, settled.max() + margin)


def _curve(ax: Axes, points: Points, color: str, label: str | None = None) -> None:
    """Draw one curve, its points marked where they are few."""
    marker = "o" if len(points[0]) <= 12 else ""
    ax.plot(*points, marker=marker, markersize=4, color=color, label=label)


def _mark_best(ax: Axes, epoch: float, measure: str, points: Points | None) -> None:
    """Draw a line at the best epoch and write the validation value there into the title."""
    label = f"best epoch {epoch:g}, by validation {measure}"
    ax.axvline(epoch, color=INK, linewidth=0.9, linestyle=":", label=label)
    if points is not None and epoch in points[0]:
        value = float(points[1][points[0] == epoch][0])
        ax.plot(epoch, value, marker="o", markersize=7, color=BLUE, markeredgecolor="white", linestyle="none")
        ax.set_title(f"{ax.get_title()} (validation {value:.4f})")


def _label_epochs(ax: Axes, name: str) -> None:
    """Name both axes and keep the epochs whole."""
    ax.set(title=name, xlabel="epoch")
    low, high = ax.dataLim.intervalx
    if low == high:
        ax.set_xlim(low - 1, high + 1)
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


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
    bar = ax.figure.colorbar(
        colours,
        cax=ax,
        orientation="horizontal",
        extend="max" if ticks[-1] < 1 else "neither",
        ticks=ticks,
        format="%g",
    )
    ax.minorticks_off()
    ax.tick_params(labelsize=8)
    bar.set_label(label, fontsize=8)
    bar.outline.set_visible(False)


def _legible(background: NDArray[np.float64]) -> str:
    """Return white or ink, whichever stands out more on an RGB(A) colour (WCAG 2 contrast)."""
    linear = np.where(
        background[:3] <= 0.04045, background[:3] / 12.92, ((background[:3] + 0.055) / 1.055) ** 2.4
    )
    luminance = float(linear @ (0.2126, 0.7152, 0.0722))
    return "white" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.066 else INK
