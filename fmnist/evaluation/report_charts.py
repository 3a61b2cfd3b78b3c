"""The charts of one run's page."""

from collections.abc import Mapping
from html import escape

import numpy as np

from fmnist.evaluation.charts import COLOURS, GREY, Chart, rounded


def class_scores(classes: Mapping[str, Mapping[str, float]]) -> Chart:
    """Draw precision, recall and F1 of one run by class."""
    measures = {"precision": "circle-open", "recall": "diamond-open", "f1": "circle"}
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "markers",
                "name": "F1" if key == "f1" else key,
                "x": rounded(figures[key] for figures in classes.values()),
                "y": list(classes),
                "marker": {"size": 11, "color": COLOURS[place], "symbol": symbol},
                "hovertemplate": "%{y}: %{x:.4f}",
            }
            for place, (key, symbol) in enumerate(measures.items())
        ],
        "layout": {
            "height": 460,
            "xaxis": {"tickformat": ".3~f"},
            "yaxis": {"type": "category", "autorange": "reversed", "automargin": True},
        },
    }


def reliability(bins: Mapping[str, Mapping[str, np.ndarray]]) -> Chart:
    """Draw accuracy over confidence; ``bins`` holds `calibration.reliability` by name."""
    diagonal = {
        "type": "scatter",
        "mode": "lines",
        "name": "perfect",
        "x": [0, 1],
        "y": [0, 1],
        "line": {"dash": "dot", "color": GREY, "width": 1.5},
        "hoverinfo": "skip",
    }
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": escape(name),
            "x": rounded(found["confidence"][filled]),
            "y": rounded(found["accuracy"][filled]),
            "text": [f"n = {count:,}" for count in found["count"][filled].tolist()],
            "line": {"color": COLOURS[place], "width": 2},
            "marker": {"size": 8},
            "hovertemplate": "confidence %{x:.3f}, accuracy %{y:.3f}, %{text}",
        }
        for place, (name, found) in enumerate(bins.items())
        for filled in [found["count"] > 0]
    ]
    layout = {
        "height": 400,
        "xaxis": {"title": {"text": "confidence"}, "range": [0, 1.02]},
        "yaxis": {"title": {"text": "accuracy"}, "range": [0, 1.02]},
    }
    return {"data": [diagonal, *traces], "layout": layout}


def risk_coverage(risk: np.ndarray) -> Chart:
    """Draw the error rate of the most confident answers over their share of the images; (N,) in."""
    places = np.unique(np.linspace(0, len(risk) - 1, 200).astype(int))
    return {
        "data": [
            {
                "type": "scatter",
                "mode": "lines",
                "x": rounded((places + 1) / len(risk)),
                "y": rounded(risk[places]),
                "line": {"color": COLOURS[0], "width": 2},
                "fill": "tozeroy",
                "fillcolor": "rgba(59,130,196,.15)",
                "hovertemplate": "answering %{x:.1%} of the images: %{y:.2%} wrong<extra></extra>",
            }
        ],
        "layout": {
            "height": 400,
            "xaxis": {"title": {"text": "share of the images answered"}, "tickformat": ".0%"},
            "yaxis": {"title": {"text": "wrong answers"}, "tickformat": ".1~%", "rangemode": "tozero"},
            "showlegend": False,
        },
    }
