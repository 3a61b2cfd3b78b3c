"""Plotly charts as plain dictionaries, their colours for dark and light left to the page."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from fmnist.core.constants import CLASSES
from fmnist.core.tables import Row

Chart = dict[str, Any]
Curves = Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]]

COLOURS = (
    "#3B82C4", "#E8850C", "#22A079", "#D9485F", "#9467D6", "#C9A400",
    "#4DB6DE", "#D873B5", "#7C8794", "#8A9A2B", "#B5703C", "#5B6FE0",
)  # fmt: skip
GREY = "#7C8794"
SYMBOLS = {"convolutional": "circle", "fully connected": "square", "classical": "diamond", "other": "cross"}


def colours(models: Sequence[str]) -> dict[str, str]:
    """Return a colour for each model, the same in every chart."""
    return {model: COLOURS[place % len(COLOURS)] for place, model in enumerate(models)}


def accuracies(rows: Sequence[Row], colour: Mapping[str, str]) -> Chart:
    """Draw each model's accuracy with its interval, the best one on top."""
    ordered = rows[::-1]
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "x": rounded(row["accuracy"] for row in ordered),
                "y": [escape(row["model"]) for row in ordered],
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": rounded(row["accuracy_high"] - row["accuracy"] for row in ordered),
                    "arrayminus": rounded(row["accuracy"] - row["accuracy_low"] for row in ordered),
                    "thickness": 2,
                    "width": 5,
                    "color": GREY,
                },
                "marker": {"size": 11, "color": [colour[row["model"]] for row in ordered]},
                "hovertemplate": "%{y}<br>accuracy %{x:.4f}<extra></extra>",
            }
        ],
        "layout": {
            "height": 90 + 34 * len(rows),
            "xaxis": {"title": {"text": "test accuracy"}, "tickformat": ".3~f"},
            "yaxis": {"type": "category", "automargin": True},
            "showlegend": False,
        },
    }


def accuracy_against(rows: Sequence[Row], key: str, title: str, colour: Mapping[str, str]) -> Chart:
    """Draw accuracy over a cost on a logarithmic axis; models without that cost are left out."""
    known = [row for row in rows if row[key]]
    if not known:
        return {"data": [], "layout": {}}
    costs = np.log10([row[key] for row in known])
    span = max(float(np.ptp(costs)), 0.5)
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers+text",
                "name": escape(row["model"]),
                "x": [round(row[key], 4)],
                "y": [round(row["accuracy"], 5)],
                "text": [escape(row["model"])],
                "textposition": position,
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [round(row["accuracy_high"] - row["accuracy"], 5)],
                    "arrayminus": [round(row["accuracy"] - row["accuracy_low"], 5)],
                    "thickness": 1,
                    "width": 0,
                },
                "marker": {
                    "size": 12,
                    "color": colour[row["model"]],
                    "symbol": SYMBOLS.get(row["family"], "cross"),
                },
                "hovertemplate": "%{text}<br>accuracy %{y:.4f}<br>%{x:,}<extra></extra>",
            }
            for row, position in zip(known, _sides(known, costs / span), strict=True)
        ],
        "layout": {
            "height": 500,
            "xaxis": {
                "title": {"text": title},
                "type": "log",
                "range": [float(costs.min() - 0.2 * span), float(costs.max() + 0.2 * span)],
                **_ticks(costs.min(), costs.max()),
            },
            "yaxis": {"title": {"text": "test accuracy"}, "tickformat": ".3~f"},
            "showlegend": False,
        },
    }


def _ticks(low: float, high: float) -> dict[str, Any]:
    """Return ticks at 1, 2 and 5 of each decade around two powers of ten."""
    decades = range(int(np.floor(low)) - 1, int(np.ceil(high)) + 2)
    values = [step * 10.0**power for power in decades for step in (1, 2, 5)]
    return {"tickvals": values, "ticktext": [f"{value:,.15g}" for value in values]}


def _sides(rows: Sequence[Row], places: np.ndarray) -> list[str]:
    """Return the side of each point for its name: the right, or the left where a name stands close by."""
    taken: list[tuple[float, float]] = []
    height = 0.03 * max(np.ptp([row["accuracy"] for row in rows]), 0.01)
    sides = []
    for row, place in zip(rows, places, strict=True):
        close = any(abs(place - x) < 0.15 and abs(row["accuracy"] - y) < height for x, y in taken)
        sides.append("middle left" if close else "middle right")
        if not close:
            taken.append((place, row["accuracy"]))
    return sides


def learning_curves(curves: Curves, metric: str, colour: Mapping[str, str]) -> Chart:
    """Draw one metric of all models by epoch: validation solid, training dotted.

    The axis shows what is reached after a fifth of the training.
    """
    settled = [
        values[len(values) // 5 :]
        for history in curves.values()
        for part in ("train", "val")
        if (values := history.get(f"{part}/{metric}", ((), np.empty(0)))[1]).size
    ]
    layout = _by_epoch(metric)
    if settled:
        low, high = min(map(np.min, settled)), max(map(np.max, settled))
        margin = 0.06 * max(high - low, 0.01)
        layout["yaxis"]["range"] = rounded([low - margin, high + margin])
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines" if len(history[f"{part}/{metric}"][0]) > 1 else "markers",
                "name": escape(model),
                "legendgroup": escape(model),
                "showlegend": part == "val" or f"val/{metric}" not in history,
                "x": (history[f"{part}/{metric}"][0] + 1).tolist(),
                "y": rounded(history[f"{part}/{metric}"][1]),
                "line": {"color": colour[model], "dash": dash, "width": 2},
                "hovertemplate": f"epoch %{{x}}, {said}: %{{y:.4f}}",
            }
            for model, history in curves.items()
            for part, said, dash in (("val", "validation", "solid"), ("train", "training", "dot"))
            if f"{part}/{metric}" in history
        ],
        "layout": layout,
    }


def gaps(curves: Curves, colour: Mapping[str, str]) -> Chart:
    """Draw training less validation accuracy by epoch, in percentage points."""
    traces = []
    for model, history in curves.items():
        if not {"train/accuracy", "val/accuracy"} <= history.keys():
            continue
        training = dict(zip(*history["train/accuracy"], strict=True))
        validation = zip(*history["val/accuracy"], strict=True)
        points = [(epoch, value) for epoch, value in validation if epoch in training]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": escape(model),
                "x": [int(epoch) + 1 for epoch, _ in points],
                "y": rounded(100 * (training[epoch] - value) for epoch, value in points),
                "line": {"color": colour[model], "width": 2},
                "hovertemplate": "epoch %{x}: %{y:.2f} points",
            }
        )
    return {"data": traces, "layout": _by_epoch("training less validation, points")}


def class_f1(rows: Sequence[Row], colour: Mapping[str, str]) -> Chart:
    """Draw F1 by class, one point a model; the page can show one class at a time."""
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "name": escape(row["model"]),
                "x": rounded(row[name] for name in CLASSES),
                "y": list(CLASSES),
                "marker": {"size": 11, "color": colour[row["model"]], "opacity": 0.85},
                "hovertemplate": "%{y}: F1 %{x:.4f}",
            }
            for row in rows
        ],
        "layout": {
            "height": 520,
            "xaxis": {"title": {"text": "F1"}, "tickformat": ".3~f"},
            "yaxis": {"type": "category", "autorange": "reversed", "automargin": True},
        },
    }


def _by_epoch(title: str) -> dict[str, Any]:
    return {
        "height": 460,
        "hovermode": "closest",
        "xaxis": {"title": {"text": "epoch"}},
        "yaxis": {"title": {"text": title}},
    }


def rounded(values: Iterable[Any]) -> list[float]:
    """Return numbers as a page needs them, with five decimals."""
    return [round(float(value), 5) for value in values]
