"""Charts of the checks of explanations: deletion and insertion, all measures, the randomisation test."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from fmnist.figures.canvas import BLUE, COLOURS, FAINT, INK, STYLE, VERMILLION

TINT = "#E3F1EA"
DASHES = ("-", "--", "-.", ":")
Interval = tuple[float, float, float]
"""A mean and the two ends of its interval."""


@rc_context(STYLE)
def change_curves(
    series: Mapping[str, Mapping[str, ArrayLike]], references: Sequence[str], title: str
) -> Figure:
    """Draw how a probability falls or rises while pixels change, a panel a kind of change, a line a method.

    ``series`` holds by method, by kind of change, probabilities (k,) at shares of the pixels from 0 to 1.
    The references are the methods that others should surpass; they are grey.
    """
    kinds = list(next(iter(series.values())))
    styles = _styles(list(series), references)
    figure = Figure(figsize=(2.9 * len(kinds), 3.5), layout="constrained")
    axes = figure.subplots(1, len(kinds), squeeze=False, sharey=True)[0]
    for ax, kind in zip(axes, kinds, strict=True):
        for method, curves in series.items():
            heights = np.asarray(curves[kind])
            ax.plot(np.linspace(0, 1, len(heights)), heights, label=method, **styles[method])
        ax.set(title=kind, xlabel="share of the pixels changed", xlim=(0, 1), ylim=(0, 1))
    axes[0].set_ylabel("probability of the class")
    _finish(figure, title, *axes[0].get_legend_handles_labels())
    return figure


@rc_context(STYLE)
def measure_intervals(
    means: Mapping[str, Mapping[str, Interval]], better: Mapping[str, str], reference: str, title: str
) -> Figure:
    """Draw means with intervals, a panel a measure, a row a method, the reference as a line through all.

    ``means`` holds them by method, by measure, and ``better`` the better side of each measure, ``"lower"`` or
    ``"higher"``. Values on that side of the reference's interval are tinted.
    """
    methods = list(means)
    columns = min(len(better), 3)
    rows = -(-len(better) // columns)
    height = 0.7 + 0.24 * len(methods)
    figure = Figure(figsize=(1.3 + 2.3 * columns, 0.6 + rows * height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for ax in axes.flat[len(better) :]:
        ax.remove()
    for ax, (measure, side) in zip(axes.flat, better.items(), strict=False):
        for place, method in enumerate(methods):
            mean, low, high = means[method][measure]
            ax.plot([low, high], [place, place], color=INK, linewidth=1.2, solid_capstyle="butt")
            colour = VERMILLION if method == reference else BLUE
            ax.plot(mean, place, marker="o", markersize=4.5, color=colour)
        mean, low, high = means[reference][measure]
        ax.axvline(mean, color=VERMILLION, linewidth=1.1, label=reference)
        ax.margins(x=0.12)
        ends = ax.get_xlim()
        beaten = (ends[0], low) if side == "lower" else (high, ends[1])
        ax.axvspan(*beaten, color=TINT, zorder=0, label="better than the whole of its interval")
        ax.set(xlim=ends, title=f"{measure}\n{side} is better")
        ax.set_yticks(range(len(methods)), methods)
        ax.set_ylim(len(methods) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.title.set_fontsize(8.5)
        ax.grid(visible=False, axis="y")
    _finish(figure, title, *axes[0, 0].get_legend_handles_labels())
    return figure


@rc_context(STYLE)
def randomisation(layers: Sequence[str], similarity: Mapping[str, Sequence[Interval]], title: str) -> Figure:
    """Draw the similarity of maps to those of the trained network while its layers are randomised in order.

    ``similarity`` holds by method, for every layer, the mean rank correlation with its interval.
    """
    styles = _styles(list(similarity), ())
    figure = Figure(figsize=(max(6.4, 2 + 0.4 * len(layers)), 3.9), layout="constrained")
    ax = figure.subplots()
    places = np.arange(len(layers) + 1)
    for method, values in similarity.items():
        means, lows, highs = np.array([(1.0, 1.0, 1.0), *values]).T
        ax.plot(places, means, marker="o", markersize=3.5, label=method, **styles[method])
        ax.fill_between(places, lows, highs, color=styles[method]["color"], alpha=0.15, linewidth=0)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set_xticks(places, ["none", *layers], rotation=40, ha="right", rotation_mode="anchor", fontsize=8)
    ax.set(xlabel="randomised from the head down to", ylabel="rank correlation with the trained map")
    ax.set_ylim(min(-0.1, ax.get_ylim()[0]), 1.03)
    _finish(figure, title, *ax.get_legend_handles_labels())
    return figure


def _styles(methods: Sequence[str], references: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return colour and dashes of each line; the references are grey."""
    styles: dict[str, dict[str, Any]] = {}
    for place, method in enumerate(method for method in methods if method not in references):
        styles[method] = {"color": COLOURS[place % len(COLOURS)], "linestyle": DASHES[place // len(COLOURS)]}
    for place, method in enumerate(references):
        styles[method] = {"color": FAINT if place else INK, "linestyle": DASHES[1 + place], "linewidth": 1.2}
    return styles


def _finish(figure: Figure, title: str, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """Write the heading and, below everything, the key."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    columns = max(1, int(figure.get_figwidth() / 1.9))
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), columns))
