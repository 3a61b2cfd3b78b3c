"""Curves: learning curves, reliability diagram, risk against coverage."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from fmnist.figures.canvas import BLUE, COLOURS, FAINT, GREEN, INK, ORANGE, STYLE

Curve = tuple[ArrayLike, ArrayLike]
Points = tuple[NDArray[np.float64], NDArray[np.float64]]
KEYS = ("train/loss", "val/loss", "train/accuracy", "val/accuracy", "learning_rate")


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
        ValueError: There is nothing to draw.
    """
    curves = {key: _finite_points(*history[key]) for key in KEYS if key in history}
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
def reliability_diagram(series: Mapping[str, Mapping[str, NDArray[Any]]]) -> Figure:
    """Draw accuracy over confidence, beside the diagonal of a perfectly calibrated model.

    Each series is what `fmnist.core.calibration.reliability` returns; empty bins are left out.
    """
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], color=FAINT, linestyle=":", label="perfect")
    for colour, (name, bins) in zip(COLOURS, series.items(), strict=False):
        filled = bins["count"] > 0
        points = bins["confidence"][filled], bins["accuracy"][filled]
        ax.plot(*points, marker="o", markersize=4, color=colour, label=name)
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy", aspect="equal")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


@rc_context(STYLE)
def risk_coverage(risk: NDArray[np.float64]) -> Figure:
    """Draw the share of wrong answers over the share of the images that is answered.

    ``risk`` (N,) is the share of errors among the k most confident answers, k = 1..N.
    """
    coverage = np.arange(1, len(risk) + 1) / len(risk)
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    ax = figure.subplots()
    ax.plot(coverage, risk, color=BLUE)
    ax.fill_between(coverage, risk, color=BLUE, alpha=0.12, linewidth=0)
    ax.set(xlim=(0, 1), ylim=(0, max(risk.max() * 1.08, 0.01)))
    ax.set(xlabel="share of the images answered, most confident first", ylabel="wrong answers")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    return figure


def _finite_points(epochs: ArrayLike, values: ArrayLike) -> Points:
    """Return one curve as two float arrays without the values that are not finite."""
    xs, ys = np.asarray(epochs, float), np.asarray(values, float)
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
