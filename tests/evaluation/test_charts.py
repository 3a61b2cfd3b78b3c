"""Charts as Plotly reads them: rounded, names escaped."""

import numpy as np

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
    large = [{**ROWS[0], "parameters": 150e9}]
    assert {"0.1 T", "0.2 T"} <= set(
        charts.accuracy_by_cost(large, "parameters", "", COLOUR)["layout"]["xaxis"]["ticktext"]
    )


def test_names_of_neighbouring_points_do_not_overlap() -> None:
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
    single = {"mlp": {"val/accuracy": (np.array([0]), np.array([0.8]))}}
    (trace,) = charts.learning_curves(single, "accuracy", COLOUR)["data"]
    assert (trace["mode"], trace["x"], trace["y"]) == ("markers", [1], [0.8])


def test_gaps_are_taken_where_both_were_measured() -> None:
    (trace,) = charts.accuracy_gaps(CURVES, COLOUR)["data"]
    assert trace["x"] == [1, 4, 7, 10]
    np.testing.assert_allclose((trace["y"][0], trace["y"][-1]), (-10, 5), atol=1e-4)


def test_the_curves_of_one_run_are_named_training_and_validation() -> None:
    for curves, names in (
        (CURVES[NAMES[0]], ["validation", "training"]),
        ({"train/accuracy": (EPOCHS, np.linspace(0.1, 0.9, 10))}, ["training"]),
    ):
        chart = charts.learning_curves({"mlp": curves}, "accuracy", COLOUR)
        assert [trace["name"] for trace in chart["data"] if trace["showlegend"]] == names
        assert chart["layout"]["xaxis"]["dtick"] == 1  # no half epochs
        assert chart["layout"]["showlegend"] is True  # one line alone has no legend otherwise


def test_a_long_chart_has_no_blank_space_above() -> None:
    rows = [{**ROWS[0], "model": str(number)} for number in range(120)]
    chart = charts.accuracies(rows, {row["model"]: "#000000" for row in rows})
    low, high = chart["layout"]["yaxis"]["range"]  # row n is at n
    assert -1 < low < 0
    assert 119 < high < 120
