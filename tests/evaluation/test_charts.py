"""Charts as Plotly reads them: JSON, rounded, names escaped."""

import json

import numpy as np
import pytest

from fmnist.core import calibration
from fmnist.core.constants import CLASSES
from fmnist.evaluation import charts

NAMES = ("<b>bold</b>", "mlp")
COLOUR = charts.colours(NAMES)
ROWS = [
    {
        "model": name,
        "family": "convolutional",
        "accuracy": 0.9 - place / 30,
        "accuracy_low": 0.85 - place / 30,
        "accuracy_high": 0.95 - place / 30,
        "train_seconds": 10.0 ** (place + 1),
        "parameters": None if place else 1000,
        **{label: 0.5 + index / 30 + place / 100 for index, label in enumerate(CLASSES)},
    }
    for place, name in enumerate(NAMES)
]
EPOCHS = np.arange(10)
CURVES = {
    NAMES[0]: {
        "train/accuracy": (EPOCHS, np.linspace(0.1, 0.95, 10)),
        "val/accuracy": (EPOCHS[::3], np.linspace(0.2, 0.9, 4)),
    },
    NAMES[1]: {"train/accuracy": (EPOCHS, np.linspace(0.3, 0.8, 10))},
}


@pytest.mark.parametrize(
    "chart",
    [
        charts.accuracies(ROWS, COLOUR),
        charts.accuracy_by_cost(ROWS, "train_seconds", "s", COLOUR),
        charts.learning_curves(CURVES, "accuracy", COLOUR),
        charts.accuracy_gaps(CURVES, COLOUR),
        charts.class_f1(ROWS, COLOUR),
    ],
)
def test_charts_are_plain_json_with_names_escaped(chart: charts.Chart) -> None:
    text = json.dumps(chart, allow_nan=False)
    assert "&lt;b&gt;bold" in text
    assert "<b>bold" not in text
    assert chart["layout"]["height"] > 0


def test_accuracies_show_the_best_on_top() -> None:
    (trace,) = charts.accuracies(ROWS, COLOUR)["data"]
    assert trace["y"][-1] == "&lt;b&gt;bold&lt;/b&gt;"  # Plotly counts from below
    np.testing.assert_allclose(trace["x"], [0.9 - 1 / 30, 0.9], atol=1e-5)
    np.testing.assert_allclose(trace["error_x"]["array"], [0.05, 0.05], atol=1e-5)


def test_a_model_without_the_cost_is_left_out() -> None:
    by_parameters = charts.accuracy_by_cost(ROWS, "parameters", "parameters", COLOUR)
    assert [trace["x"] for trace in by_parameters["data"]] == [[1000]]
    low, high = by_parameters["layout"]["xaxis"]["range"]
    assert low < 3 < high
    assert charts.accuracy_by_cost(ROWS[1:], "parameters", "parameters", COLOUR)["data"] == []


def test_names_that_would_cover_each_other_stand_on_both_sides() -> None:
    rows = [{**ROWS[0], "model": name, "parameters": 1000} for name in NAMES]
    traces = charts.accuracy_by_cost(rows, "parameters", "parameters", COLOUR)["data"]
    assert [trace["textposition"] for trace in traces] == ["middle right", "middle left"]


def test_learning_curves_name_each_model_once() -> None:
    chart = charts.learning_curves(CURVES, "accuracy", COLOUR)
    named = [(trace["name"], trace["line"]["dash"]) for trace in chart["data"] if trace["showlegend"]]
    assert named == [("&lt;b&gt;bold&lt;/b&gt;", "solid"), ("mlp", "dot")]
    assert chart["data"][0]["x"][0] == 1  # people count epochs from 1
    assert chart["layout"]["yaxis"]["range"][0] > 0.1
    assert charts.learning_curves(CURVES, "loss", COLOUR)["data"] == []


def test_a_single_epoch_is_a_point() -> None:
    curves = {"mlp": {"val/accuracy": (np.array([0]), np.array([0.8]))}}
    (trace,) = charts.learning_curves(curves, "accuracy", COLOUR)["data"]
    assert (trace["mode"], trace["x"], trace["y"]) == ("markers", [1], [0.8])


def test_gaps_are_taken_where_both_were_measured() -> None:
    (trace,) = charts.accuracy_gaps(CURVES, COLOUR)["data"]
    assert trace["x"] == [1, 4, 7, 10]
    np.testing.assert_allclose(trace["y"][0], -10, atol=1e-4)
    np.testing.assert_allclose(trace["y"][-1], 5, atol=1e-4)


def test_f1_holds_a_point_a_class() -> None:
    traces = charts.class_f1(ROWS, COLOUR)["data"]
    assert len(traces) == 2
    assert traces[0]["y"] == list(CLASSES)
    np.testing.assert_allclose(traces[1]["x"], [ROWS[1][name] for name in CLASSES], atol=1e-5)


def test_class_scores_draw_three_measures() -> None:
    classes = {name: {"precision": 0.5, "recall": 0.75, "f1": 0.6} for name in ("a", "b")}
    traces = charts.class_scores(classes)["data"]
    assert [(trace["name"], trace["x"]) for trace in traces] == [
        ("precision", [0.5, 0.5]),
        ("recall", [0.75, 0.75]),
        ("F1", [0.6, 0.6]),
    ]


def test_reliability_leaves_empty_bins_out() -> None:
    bins = calibration.reliability(np.array([0.55, 0.58, 0.95]), np.array([True, False, True]))
    diagonal, trace = charts.reliability({"as <stated>": bins})["data"]
    assert diagonal["x"] == diagonal["y"] == [0, 1]
    assert trace["name"] == "as &lt;stated&gt;"
    assert (trace["x"], trace["y"], trace["text"]) == ([0.565, 0.95], [0.5, 1.0], ["n = 2", "n = 1"])


def test_risk_coverage_is_thinned_but_keeps_both_ends() -> None:
    (trace,) = charts.risk_coverage(np.linspace(0, 0.06, 10_000))["data"]
    assert len(trace["x"]) == 200
    assert (trace["x"][-1], trace["y"][-1]) == (1.0, 0.06)
    assert trace["x"][0] == 0.0001
