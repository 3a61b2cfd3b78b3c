"""Plotly charts of the pages as plain dictionaries; the page's script sets the colours for dark and light."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fmnist.core.constants import CLASSES
from fmnist.core.tables import Row
from fmnist.evaluation.results import CLASSICAL, CONVOLUTIONAL, DENSE, OTHER, Curves

Chart = dict[str, Any]

COLOURS = (
    "#3B82C4", "#E8850C", "#22A079", "#D9485F", "#9467D6", "#C9A400",
    "#4DB6DE", "#D873B5", "#7C8794", "#8A9A2B", "#B5703C", "#5B6FE0",
)  # fmt: skip
GREY = "#7C8794"
SYMBOLS = {CONVOLUTIONAL: "circle", DENSE: "square", CLASSICAL: "diamond", OTHER: "cross"}
BY_CLASS = {"type": "category", "autorange": "reversed", "automargin": True}


def escaped(text: str) -> str:
    """Return text for a chart: Plotly reads tags, and shows ``&quot;`` as it is."""
    return html.escape(text, quote=False)


def colours(models: Sequence[str]) -> dict[str, str]:
    """Return a colour for each model, the same in every chart."""
    return {model: COLOURS[place % len(COLOURS)] for place, model in enumerate(models)}


def class_scores(classes: Mapping[str, Mapping[str, float]]) -> Chart:
    """Draw precision, recall and F1 of one run by class."""
    symbols = {"precision": "circle-open", "recall": "diamond-open", "f1": "circle"}
    traces = [
        scatter(
            "markers",
            rounded(scores[key] for scores in classes.values()),
            list(classes),
            name="F1" if key == "f1" else key,
            marker={"size": 11, "color": colour, "symbol": symbol},
            hovertemplate="%{y}: %{x:.4f}",
        )
        for colour, (key, symbol) in zip(COLOURS, symbols.items(), strict=False)
    ]
    return chart(traces, height=460, xaxis={"tickformat": ".3~f"}, yaxis=BY_CLASS)


def reliability(bins: Mapping[str, Mapping[str, np.ndarray]]) -> Chart:
    """Draw accuracy over confidence; ``bins`` holds `fmnist.core.calibration.reliability` by name."""
    line = {"dash": "dot", "color": GREY, "width": 1.5}
    traces = [scatter("lines", [0, 1], [0, 1], name="perfect", line=line, hoverinfo="skip")]
    for colour, (name, values) in zip(COLOURS, bins.items(), strict=False):
        filled = values["count"] > 0
        traces.append(
            scatter(
                "lines+markers",
                rounded(values["confidence"][filled]),
                rounded(values["accuracy"][filled]),
                name=escaped(name),
                text=[f"n = {count:,}" for count in values["count"][filled].tolist()],
                line={"color": colour, "width": 2},
                marker={"size": 8},
                hovertemplate="confidence %{x:.3f}, accuracy %{y:.3f}, %{text}",
            )
        )
    return chart(
        traces,
        height=400,
        xaxis=axis("confidence", range=[0, 1.02]),
        yaxis=axis("accuracy", range=[0, 1.02]),
    )


def risk_coverage(risk: np.ndarray) -> Chart:
    """Draw the error rate of the most confident predictions (N,) over their share of the images."""
    ranks = np.unique(np.linspace(0, len(risk) - 1, 200).astype(int))
    trace = scatter(
        "lines",
        rounded((ranks + 1) / len(risk)),
        rounded(risk[ranks]),
        line={"color": COLOURS[0], "width": 2},
        fill="tozeroy",
        fillcolor="rgba(59,130,196,.15)",
        hovertemplate="answering %{x:.1%} of the images: %{y:.2%} wrong<extra></extra>",
    )
    return chart(
        [trace],
        height=400,
        xaxis=axis("share of the images answered", tickformat=".0%"),
        yaxis=axis("wrong answers", tickformat=".1~%", rangemode="tozero"),
        showlegend=False,
    )


def learning_curves(curves: Mapping[str, Curves], metric: str, colour: Mapping[str, str]) -> Chart:
    """Draw one metric of all models by epoch: validation solid, training dotted.

    The legend names the models; of a single one, which line is training and which validation.
    The limits of the axis fit what is reached after a fifth of the training.
    """
    traces, late_values, single = [], [], len(curves) == 1
    for model, history in curves.items():
        for part, description, dash in (("val", "validation", "solid"), ("train", "training", "dot")):
            if f"{part}/{metric}" not in history:
                continue
            epochs, values = history[f"{part}/{metric}"]
            late_values.append(values[len(values) // 5 :])
            traces.append(
                scatter(
                    "lines" if len(epochs) > 1 else "markers",
                    (epochs + 1).tolist(),
                    rounded(values),
                    name=description if single else escaped(model),
                    legendgroup=description if single else escaped(model),
                    showlegend=single or part == "val" or f"val/{metric}" not in history,
                    line={"color": colour[model], "dash": dash, "width": 2},
                    hovertemplate=f"epoch %{{x}}, {description}: %{{y:.4f}}",
                )
            )
    if not traces:
        return _by_epoch([], metric)
    settled = np.concatenate(late_values)
    margin = 0.06 * max(np.ptp(settled), 0.01)
    limits = rounded([settled.min() - margin, settled.max() + margin])
    return _by_epoch(traces, metric, single, range=limits)


def accuracy_gaps(curves: Mapping[str, Curves], colour: Mapping[str, str]) -> Chart:
    """Draw training less validation accuracy by epoch, in percentage points."""
    traces = []
    for model, history in curves.items():
        if not {"train/accuracy", "val/accuracy"} <= history.keys():
            continue
        training = dict(zip(*history["train/accuracy"], strict=True))
        validation = zip(*history["val/accuracy"], strict=True)
        points = [(epoch, value) for epoch, value in validation if epoch in training]
        traces.append(
            scatter(
                "lines" if len(points) > 1 else "markers",
                [int(epoch) + 1 for epoch, _ in points],
                rounded(100 * (training[epoch] - value) for epoch, value in points),
                name=escaped(model),
                line={"color": colour[model], "width": 2},
                hovertemplate="epoch %{x}: %{y:.2f} points",
            )
        )
    return _by_epoch(traces, "training less validation, points")


def accuracies(rows: Sequence[Row], colour: Mapping[str, str]) -> Chart:
    """Draw each model's accuracy with its interval, the best one on top."""
    ordered = rows[::-1]
    trace = scatter(
        "markers",
        rounded(row["accuracy"] for row in ordered),
        [escaped(row["model"]) for row in ordered],
        error_x=_interval(ordered) | {"thickness": 2, "width": 5, "color": GREY},
        marker={"size": 11, "color": [colour[row["model"]] for row in ordered]},
        hovertemplate="%{y}<br>accuracy %{x:.4f}<extra></extra>",
    )
    return chart(
        [trace],
        height=90 + 34 * len(rows),
        xaxis=axis("test accuracy (bars: 95 %, over test images alone)", tickformat=".3~f"),
        # Plotly's own range leaves 5 % free at both ends, which is much of a long chart
        yaxis={"type": "category", "automargin": True, "range": [-0.6, len(rows) - 0.4]},
        showlegend=False,
    )


def accuracy_by_cost(rows: Sequence[Row], key: str, title: str, colour: Mapping[str, str]) -> Chart:
    """Draw accuracy over a cost on a logarithmic axis; models without that cost are left out."""
    known = [row for row in rows if row[key]]
    if not known:
        return {"data": [], "layout": {}}
    costs = np.log10([row[key] for row in known])
    span = max(float(np.ptp(costs)), 0.5)
    traces = [
        scatter(
            "markers+text",
            [round(row[key], 4)],
            [round(row["accuracy"], 5)],
            name=escaped(row["model"]),
            text=[escaped(row["model"])],
            textposition=position,
            error_y=_interval([row]) | {"thickness": 1, "width": 0},
            marker={"size": 12, "color": colour[row["model"]], "symbol": SYMBOLS[row["family"]]},
            hovertemplate="%{text}<br>accuracy %{y:.4f}<br>%{x:,}<extra></extra>",
        )
        for row, position in zip(known, _label_positions(known, costs / span), strict=True)
    ]
    # ticks at 1, 2 and 5 of each decade
    decades = range(int(np.floor(costs.min())) - 1, int(np.ceil(costs.max())) + 2)
    ticks = [step * 10.0**power for power in decades for step in (1, 2, 5)]
    xaxis = axis(
        title,
        type="log",
        range=[float(costs.min() - 0.2 * span), float(costs.max() + 0.2 * span)],
        tickvals=ticks,
        ticktext=[f"{value / 1e12:g} T" if value >= 1e9 else f"{value:,.15g}" for value in ticks],
    )
    yaxis = axis("test accuracy", tickformat=".3~f")
    return chart(traces, height=500, xaxis=xaxis, yaxis=yaxis, showlegend=False)


def _label_positions(rows: Sequence[Row], places: np.ndarray) -> list[str]:
    """Return where each point's name goes: to its right, or to its left where another name is close by."""
    taken: list[tuple[float, float]] = []
    height = 0.03 * max(np.ptp([row["accuracy"] for row in rows]), 0.01)
    positions = []
    for row, place in zip(rows, places, strict=True):
        close = any(abs(place - x) < 0.15 and abs(row["accuracy"] - y) < height for x, y in taken)
        positions.append("middle left" if close else "middle right")
        if not close:
            taken.append((place, row["accuracy"]))
    return positions


def class_f1(rows: Sequence[Row], colour: Mapping[str, str]) -> Chart:
    """Draw F1 by class, one point a model; the page can show one class at a time."""
    traces = [
        scatter(
            "markers",
            rounded(row[name] for name in CLASSES),
            list(CLASSES),
            name=escaped(row["model"]),
            marker={"size": 11, "color": colour[row["model"]], "opacity": 0.85},
            hovertemplate="%{y}: F1 %{x:.4f}",
        )
        for row in rows
    ]
    height = 520 + _legend_height(traces)
    return chart(traces, height=height, xaxis=axis("F1", tickformat=".3~f"), yaxis=BY_CLASS)


def chart(traces: list[dict[str, Any]], **layout: Any) -> Chart:
    """Return a chart of traces; its layout needs a height."""
    return {"data": traces, "layout": layout}


def _by_epoch(traces: list[dict[str, Any]], title: str, single: bool = False, **yaxis: Any) -> Chart:
    """Return a chart by epoch; Plotly shows no legend for one line of ``single`` unless it is told to."""
    shown = {"showlegend": True} if single else {}
    last = max((max(trace["x"], default=0) for trace in traces), default=0)
    axes = {"xaxis": epoch_axis(last), "yaxis": axis(title, **yaxis)}
    return chart(traces, height=460 + _legend_height(traces), hovermode="closest", **axes, **shown)


def _legend_height(traces: Sequence[dict[str, Any]]) -> int:
    """Return the pixels that the legend takes from a chart beyond its first lines, of about eight names."""
    return 20 * (sum(trace.get("showlegend", True) for trace in traces) // 8)


def epoch_axis(last: int) -> dict[str, Any]:
    """Return the axis of the epochs up to ``last``; of few epochs Plotly would mark halves, too."""
    return axis("epoch", **({"dtick": 1} if last <= 12 else {}))


def axis(title: str, **rest: Any) -> dict[str, Any]:
    """Return an axis with a title."""
    return {"title": {"text": title}, **rest}


def scatter(mode: str, x: list[Any], y: list[Any], **rest: Any) -> dict[str, Any]:
    """Return a trace of points or lines."""
    return {"type": "scatter", "mode": mode, "x": x, "y": y, **rest}


def _interval(rows: Sequence[Row]) -> dict[str, Any]:
    """Return error bars of the accuracies."""
    return {
        "type": "data",
        "symmetric": False,
        "array": rounded(row["accuracy_high"] - row["accuracy"] for row in rows),
        "arrayminus": rounded(row["accuracy"] - row["accuracy_low"] for row in rows),
    }


def rounded(values: Iterable[Any]) -> list[float]:
    """Return numbers as a page needs them, with five decimals."""
    return [round(float(value), 5) for value in values]
