"""Charts of what a model's confidence is worth: reliability diagram and risk against coverage."""

from collections.abc import Mapping

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike

from fmnist.figures.canvas import BLUE, COLOURS, FAINT, STYLE


@rc_context(STYLE)
def reliability_diagram(series: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Draw accuracy over confidence, beside the diagonal of a perfectly calibrated model.

    Args:
        series: By name, mean confidence (bins,) and accuracy (bins,); bins that are NaN are left out.

    Raises:
        ValueError: The two differ in shape, or there are more series than colours.
    """
    if not 1 <= len(series) <= len(COLOURS):
        raise ValueError(f"series must hold 1 to {len(COLOURS)} series, got {len(series)}")
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1], color=FAINT, linestyle=":", label="perfect")
    for colour, (name, (confidence, accuracy)) in zip(COLOURS, series.items(), strict=False):
        xs, ys = np.asarray(confidence, float), np.asarray(accuracy, float)
        if xs.ndim != 1 or xs.shape != ys.shape:
            raise ValueError(f"{name}: confidence and accuracy must be alike, got {xs.shape} and {ys.shape}")
        filled = np.isfinite(xs) & np.isfinite(ys)
        ax.plot(xs[filled], ys[filled], marker="o", markersize=4, color=colour, label=name)
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="confidence", ylabel="accuracy", aspect="equal")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


@rc_context(STYLE)
def risk_coverage(risk: ArrayLike) -> Figure:
    """Draw the share of wrong answers over the share of the images that is answered.

    Args:
        risk: Errors among the k most confident answers, k = 1..N, (N,).

    Raises:
        ValueError: It is empty, or of another shape.
    """
    values = np.asarray(risk, float)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"risk must have the shape (N,), got {values.shape}")
    coverage = np.arange(1, len(values) + 1) / len(values)
    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    ax = figure.subplots()
    ax.plot(coverage, values, color=BLUE)
    ax.fill_between(coverage, values, color=BLUE, alpha=0.12, linewidth=0)
    ax.set(xlim=(0, 1), ylim=(0, max(values.max() * 1.08, 0.01)))
    ax.set(xlabel="share of the images answered, most confident first", ylabel="wrong answers")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    return figure
