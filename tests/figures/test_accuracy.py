"""Charts of accuracy show the numbers that they are given, and agree with scikit-learn's."""

import numpy as np
import pytest
import sklearn.metrics
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from fmnist.core.constants import CLASSES
from fmnist.figures import confusion_matrix, heat_map, outcome_figures, per_class_bars


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """Return the WCAG 2 contrast ratio of two RGB colours; 4.5 is its bound for small text."""
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (one, other)]
    dark, bright = sorted(float(c @ [0.2126, 0.7152, 0.0722]) for c in linear)
    return (bright + 0.05) / (dark + 0.05)


def test_confusion_matrix_shows_recall_by_row_and_survives_empty_ones() -> None:
    assert {"0.750", "1.000"} <= set(texts(confusion_matrix([[3, 1], [0, 7]], ("a", "b"), "x")))
    with np.errstate(all="raise"):
        figure = confusion_matrix([[0, 0], [1, 1]], ("a", "b"), "x")
        empty = confusion_matrix(np.zeros((2, 2), int), ("a", "b"), "x")
    assert {"n/a", "0.500"} <= set(texts(figure))
    assert empty.axes[0].get_title() == "x: no samples"


def test_cells_are_blue_where_right_and_orange_where_wrong_and_legible() -> None:
    counts = np.diag([900] * 10) + np.eye(10, k=1, dtype=int) * 100
    ax = confusion_matrix(counts, CLASSES, "x").axes[0]
    assert ax.get_title() == "x: accuracy 0.9091 (9,000 of 9,900)"
    colours = np.asarray(ax.images[0].get_array())[..., :3]
    for text in ax.texts:
        column, row = map(int, text.get_position())
        assert text.get_text() == str(counts[row, column])
        red, _, blue = colours[row, column]
        assert (blue > red) if row == column else (red >= blue)
        if counts[row, column]:
            assert contrast(np.array(to_rgb(text.get_color())), colours[row, column]) > 4.5


def test_bars_have_the_values_and_their_numbers_in_the_published_order() -> None:
    values = np.linspace(0.5, 0.95, 10)
    figure = per_class_bars({"MLP": values.tolist(), "CNN": (values / 2).tolist()}, CLASSES, "F1")
    ax = figure.axes[0]
    first, second = ax.containers
    np.testing.assert_allclose([bar.get_width() for bar in first], values)
    np.testing.assert_allclose([bar.get_width() for bar in second], values / 2)
    assert [text.get_text() for text in ax.texts[:10]] == [f"{value:.3f}" for value in values]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(CLASSES)
    assert ax.yaxis_inverted()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["MLP", "CNN"]
    figure = per_class_bars({"F1": [0.5, np.nan]}, ("a", "b"), "F1")
    assert not figure.legends
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.500", "n/a"]


def test_heat_map_writes_and_shades_every_value_and_mean() -> None:
    rows = {"noise": [1.0, 0.5, 0.0], "inverse": [0.2], "flip": [0.9]}
    ax = heat_map(rows, ["1", "2", "3"], "a title", "severity", breaks=[2]).axes[0]
    expected = ["1.000", "0.500", "0.000", "0.500", "0.200", "0.200", "0.900", "0.900"]
    assert [text.get_text() for text in ax.texts] == expected
    assert [label.get_text() for label in ax.get_yticklabels()] == list(rows)
    colours = np.array([bar.get_facecolor() for bar in ax.patches])
    np.testing.assert_allclose(colours[0, :3], 1, atol=0.01)
    assert colours[2, 2] < colours[1, 2] < 1
    assert ax.patches[4].get_bbox().width == pytest.approx(3, abs=0.1)  # one value for all columns
    steps = np.diff(ax.get_yticks())
    assert steps[1] > steps[0] == 1


def test_the_figures_of_a_run_show_what_was_predicted() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(9, size=200)  # the last class never occurs
    confidences = generator.normal(size=(200, 10)) + 2 * np.eye(10)[labels]
    predicted = confidences.argmax(1)
    images = generator.integers(256, size=(200, 28, 28)).astype(np.uint8)
    figures = outcome_figures(images, labels, confidences, CLASSES, "svm")
    assert figures.keys() == {"confusion_matrix", "class_f1", "worst_errors"}
    f1 = sklearn.metrics.f1_score(labels, predicted, average=None, labels=range(10), zero_division=0)
    bars = figures["class_f1"].axes[0].patches
    np.testing.assert_allclose([bar.get_bbox().width for bar in bars], f1, rtol=1e-6)
    cells = figures["confusion_matrix"].axes[0]
    counts = sklearn.metrics.confusion_matrix(labels, predicted, labels=range(10))
    assert [int(text.get_text()) for text in cells.texts[:100]] == counts.ravel().tolist()
    assert cells.get_title().startswith("svm on the test set")
    worst = f"{np.floor(confidences.max(1)[predicted != labels].max() * 100) / 100:.2f}"
    assert worst in " ".join(texts(figures["worst_errors"]))
    plain = outcome_figures(images, labels, confidences, CLASSES, "svm", probabilities=False)
    assert worst not in " ".join(texts(plain["worst_errors"]))


def test_wrong_shapes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"\(10, 10\).*\(10, 9\)"):
        confusion_matrix(np.zeros((10, 9), int), CLASSES, "x")
    with pytest.raises(ValueError, match=r"'F1' must have the shape \(10,\), got \(9,\)"):
        per_class_bars({"F1": [0.5] * 9}, CLASSES, "F1")
    with pytest.raises(ValueError, match="1 to 6 series, got 0"):
        per_class_bars({}, CLASSES, "F1")
    with pytest.raises(ValueError, match="'noise' must have 1 or 2 values, got 3"):
        heat_map({"noise": [1.0, 0.5, 0.0]}, ["1", "2"], "a title")
