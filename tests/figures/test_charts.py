"""Charts: what is drawn and written equals the arrays, odd input draws, wrong shapes are refused."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from fmnist.core.constants import CLASSES
from fmnist.figures import confusion_matrix, learning_curves, per_class_bars

EPOCHS = np.arange(1, 11)
HISTORY = {
    "train/loss": (EPOCHS, 1 / EPOCHS),
    "val/loss": (EPOCHS, 0.2 + 1 / EPOCHS),
    "train/accuracy": (EPOCHS, 0.95 - 0.5 / EPOCHS),
    "val/accuracy": (EPOCHS, np.array([0.1, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.93, 0.93, 0.91])),
}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_learning_curves_draw_the_history_and_name_the_first_best_epoch() -> None:
    figure = learning_curves(HISTORY)
    loss, accuracy = figure.axes
    for ax, name in ((loss, "loss"), (accuracy, "accuracy")):
        for line, stage in zip(ax.lines, ("train", "val"), strict=False):
            np.testing.assert_array_equal(line.get_xydata(), np.column_stack(HISTORY[f"{stage}/{name}"]))
    assert legend(figure) == ["training", "validation", "best epoch 8, by validation accuracy"]
    assert accuracy.get_title() == "accuracy (validation 0.9300)"
    assert loss.get_title() == "loss (validation 0.3250)"


def test_accuracy_axis_leaves_out_the_first_steep_epochs_only() -> None:
    low, high = learning_curves(HISTORY).axes[1].get_ylim()
    assert 0.5 < low < 0.7  # the first two of ten epochs may fall below, 0.1 and 0.6
    assert 0.93 < high < 1.01


def test_learning_rate_has_a_panel_of_its_own() -> None:
    figure = learning_curves(HISTORY | {"learning_rate": (EPOCHS, 0.1 / EPOCHS)})
    assert len(figure.axes) == 3
    np.testing.assert_array_equal(figure.axes[2].lines[0].get_ydata(), 0.1 / EPOCHS)


def test_learning_curves_without_validation_name_no_best_epoch() -> None:
    figure = learning_curves({key: HISTORY[key] for key in ("train/loss", "train/accuracy")})
    assert len(figure.axes) == 2
    assert legend(figure) == ["training"]


def test_without_accuracies_the_lowest_validation_loss_is_best() -> None:
    figure = learning_curves({"val/loss": (EPOCHS, (EPOCHS - 4.0) ** 2)})
    assert len(figure.axes) == 1
    assert "best epoch 4, by validation loss" in legend(figure)


def test_one_epoch_is_drawn_as_markers() -> None:
    figure = learning_curves({key: (epochs[:1], values[:1]) for key, (epochs, values) in HISTORY.items()})
    for ax in figure.axes:
        assert ax.lines[0].get_marker() == "o"
        assert ax.get_xlim()[0] < 1 < ax.get_xlim()[1]


def test_values_that_are_not_finite_are_skipped() -> None:
    figure = learning_curves({"val/accuracy": ([1, 2, 3], [0.5, np.nan, 0.4])})
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xydata(), [[1, 0.5], [3, 0.4]])
    assert "best epoch 1, by validation accuracy" in legend(figure)


@pytest.mark.parametrize("history", [{}, {"val/loss": ([1], [np.nan])}, {"learning_rate": ([1], [0.1])}])
def test_nothing_to_draw_is_refused(history: dict[str, tuple[list[int], list[float]]]) -> None:
    with pytest.raises(ValueError, match="no finite loss or accuracy"):
        learning_curves(history)


def test_other_keys_are_ignored() -> None:
    assert len(learning_curves(HISTORY | {"val/f1": ([1], [0.1, 0.2])}).axes) == 2


def test_curves_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"val/loss.*\(3,\) and \(2,\)"):
        learning_curves({"val/loss": ([1, 2, 3], [0.1, 0.2])})


def test_confusion_matrix_writes_every_count_in_its_cell() -> None:
    counts = np.arange(100).reshape(10, 10)
    figure = confusion_matrix(counts, CLASSES, "Made up")
    ax = figure.axes[0]
    written = np.full((10, 10), -1)
    for text in ax.texts:
        column, row = map(int, text.get_position())
        written[row, column] = int(text.get_text())
    np.testing.assert_array_equal(written, counts)
    assert ax.get_title() == "Made up: accuracy 0.1000 (495 of 4,950)"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert [label.get_text() for label in ax.get_yticklabels()] == list(CLASSES)
    assert len(figure.axes) == 3  # the matrix and the keys of its two colours


def test_confusion_matrix_shows_recall_by_row() -> None:
    counts = np.array([[3, 1], [0, 7]])
    assert {"0.750", "1.000"} <= set(texts(confusion_matrix(counts, ("a", "b"), "x")))


def test_empty_rows_do_not_divide_by_zero() -> None:
    with np.errstate(all="raise"):
        figure = confusion_matrix([[0, 0], [1, 1]], ("a", "b"), "x")
        assert confusion_matrix(np.zeros((2, 2), int), ("a", "b"), "x").axes[0].get_title() == "x: no samples"
    assert {"n/a", "0.500"} <= set(texts(figure))


def test_cells_are_blue_where_right_and_orange_where_wrong_and_legible() -> None:
    counts = np.diag([900] * 10) + np.eye(10, k=1, dtype=int) * 100
    ax = confusion_matrix(counts, CLASSES, "x").axes[0]
    colours = np.asarray(ax.images[0].get_array())[..., :3]
    for text in ax.texts:
        column, row = map(int, text.get_position())
        red, _, blue = colours[row, column]
        assert (blue > red) if row == column else (red >= blue)
        if counts[row, column]:
            assert contrast(np.array(to_rgb(text.get_color())), colours[row, column]) > 4.5


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """Return the WCAG 2 contrast ratio of two RGB colours; 4.5 is its bound for small text."""
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (one, other)]
    dark, bright = sorted(float(c @ [0.2126, 0.7152, 0.0722]) for c in linear)
    return (bright + 0.05) / (dark + 0.05)


def test_confusion_matrix_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(10, 10\).*\(10, 9\)"):
        confusion_matrix(np.zeros((10, 9), int), CLASSES, "x")


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
    assert ax.get_xlabel() == "F1"
    assert legend(figure) == ["MLP", "CNN"]


def test_one_series_needs_no_legend_and_a_missing_value_says_so() -> None:
    figure = per_class_bars({"F1": [0.5, np.nan]}, ("a", "b"), "F1")
    assert not figure.legends
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.500", "n/a"]


def test_bars_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'F1' must have the shape \(10,\), got \(9,\)"):
        per_class_bars({"F1": [0.5] * 9}, CLASSES, "F1")
    with pytest.raises(ValueError, match="1 to 6 series, got 0"):
        per_class_bars({}, CLASSES, "F1")
