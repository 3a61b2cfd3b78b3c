"""Charts of one run."""

import json

import numpy as np

from fmnist.core import calibration
from fmnist.evaluation import report_charts


def test_class_scores_draw_three_measures() -> None:
    classes = {name: {"precision": 0.5, "recall": 0.75, "f1": 0.6} for name in ("a", "b")}
    traces = report_charts.class_scores(classes)["data"]
    assert [(trace["name"], trace["x"]) for trace in traces] == [
        ("precision", [0.5, 0.5]),
        ("recall", [0.75, 0.75]),
        ("F1", [0.6, 0.6]),
    ]


def test_reliability_leaves_empty_bins_out() -> None:
    bins = calibration.reliability(np.array([0.55, 0.58, 0.95]), np.array([True, False, True]))
    chart = report_charts.reliability({"as <stated>": bins})
    diagonal, trace = chart["data"]
    assert diagonal["x"] == diagonal["y"] == [0, 1]
    assert trace["name"] == "as &lt;stated&gt;"
    assert (trace["x"], trace["y"], trace["text"]) == ([0.565, 0.95], [0.5, 1.0], ["n = 2", "n = 1"])
    json.dumps(chart, allow_nan=False)


def test_risk_coverage_is_thinned_but_keeps_both_ends() -> None:
    risk = np.linspace(0, 0.06, 10_000)
    (trace,) = report_charts.risk_coverage(risk)["data"]
    assert len(trace["x"]) == 200
    assert (trace["x"][-1], trace["y"][-1]) == (1.0, 0.06)
    assert trace["x"][0] == 0.0001
