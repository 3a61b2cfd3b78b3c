"""Charts show the numbers that they are given; a wrong shape is refused by name."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import sklearn.metrics
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from fmnist import figures
from fmnist.core.constants import CLASSES
from fmnist.core.statistics import softmax
from fmnist.figures.canvas import BLUE, FAINT, INK, VERMILLION
from fmnist.figures.checks import change_curves, measure_intervals, randomisation

EPOCHS = np.arange(1, 11)
HISTORY = {
    "train/loss": (EPOCHS, 1 / EPOCHS),
    "val/loss": (EPOCHS, 0.2 + 1 / EPOCHS),
    "train/accuracy": (EPOCHS, 0.95 - 0.5 / EPOCHS),
    "val/accuracy": (EPOCHS, np.array([0.1, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.93, 0.93, 0.91])),
}
KINDS = ("deletion", "insertion")
CHANGES = {
    name: {kind: np.linspace(1, place / 4, 21) for kind in KINDS}
    for place, name in enumerate(["cam", "centre", "random"])
}
MEANS = {
    "cam": {"deletion": (0.3, 0.2, 0.4), "ROAD": (0.1, 0.0, 0.2)},
    "centre": {"deletion": (0.5, 0.4, 0.6), "ROAD": (0.2, 0.15, 0.25)},
    "random": {"deletion": (0.7, 0.6, 0.8), "ROAD": (0.0, -0.1, 0.1)},
}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def legend(figure: Figure) -> list[str]:
    """Return the texts of the legend, which must lie within the figure."""
    figures.as_image(figure)
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert box.y0 >= 0
    return [text.get_text() for text in figure.legends[0].get_texts()]


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """Return the WCAG 2 contrast ratio of two RGB colours; 4.5 is its bound for small text."""
    linear = [np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) for c in (one, other)]
    dark, bright = sorted(float(c @ [0.2126, 0.7152, 0.0722]) for c in linear)
    return (bright + 0.05) / (dark + 0.05)


def test_a_saved_figure_equals_the_array(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    figure, path = figures.learning_curves(HISTORY), tmp_path / "new" / "folder" / "a.png"
    figures.save(figure, path)
    image = figures.as_image(figure)
    assert (image.dtype, image.ndim, image.shape[2]) == (np.uint8, 3, 3)
    assert (image[0, 0] == 255).all()
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), image)
    assert list(path.parent.iterdir()) == [path]
    assert dict(mpl.rcParams) == before


def test_confusion_matrix_shows_recall_by_row_and_survives_empty_rows() -> None:
    counts = np.array([[3, 1, 0], [0, 7, 0], [0, 0, 0]])
    with np.errstate(all="raise"):
        figure = figures.confusion_matrix(counts, ("a", "b", "c"), "x")
    assert {"0.750", "1.000", "n/a"} <= set(texts(figure))


def test_cells_are_blue_where_right_and_orange_where_wrong_and_legible() -> None:
    counts = np.diag([900] * 10) + np.eye(10, k=1, dtype=int) * 100
    ax = figures.confusion_matrix(counts, CLASSES, "x").axes[0]
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
    ax = figures.per_class_bars(values, CLASSES, "F1").axes[0]
    np.testing.assert_allclose([bar.get_width() for bar in ax.containers[0]], values)
    assert [text.get_text() for text in ax.texts] == [f"{value:.3f}" for value in values]
    assert [label.get_text() for label in ax.get_yticklabels()] == list(CLASSES)
    assert ax.yaxis_inverted()


def test_heat_map_writes_and_shades_every_value_and_mean() -> None:
    rows = {"noise": [1.0, 0.5, 0.0], "inverse": [0.2], "flip": [0.9]}
    ax = figures.heat_map(rows, ["1", "2", "3"], "a title", "severity", gap_before=2).axes[0]
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
    confidences = softmax(generator.normal(size=(200, 10)) + 2 * np.eye(10)[labels])
    predicted = confidences.argmax(1)
    images = generator.integers(256, size=(200, 28, 28)).astype(np.uint8)
    drawn = figures.outcome_figures(images, labels, confidences, CLASSES, "svm")
    f1 = sklearn.metrics.f1_score(labels, predicted, average=None, labels=range(10), zero_division=0)
    bars = drawn["class_f1"].axes[0].patches
    np.testing.assert_allclose([bar.get_bbox().width for bar in bars], f1, rtol=1e-6)
    cells = drawn["confusion_matrix"].axes[0]
    counts = sklearn.metrics.confusion_matrix(labels, predicted, labels=range(10))
    assert [int(text.get_text()) for text in cells.texts[:100]] == counts.ravel().tolist()
    assert cells.get_title().startswith("svm on the test set")
    worst = f"{np.floor(confidences.max(1)[predicted != labels].max() * 1000) / 1000:.3f}"
    assert worst in " ".join(texts(drawn["worst_errors"]))
    plain = figures.outcome_figures(images, labels, confidences, CLASSES, "svm", probabilities=False)
    assert worst not in " ".join(texts(plain["worst_errors"]))


def test_learning_curves_draw_the_history_and_name_the_first_best_epoch() -> None:
    more = {"learning_rate": (EPOCHS, 0.1 / EPOCHS), "val/f1": ([1], [0.1, 0.2])}  # other keys are ignored
    figure = figures.learning_curves(HISTORY | more)
    loss, accuracy, rate = figure.axes
    for ax, name in ((loss, "loss"), (accuracy, "accuracy")):
        for line, stage in zip(ax.lines, ("train", "val"), strict=False):
            np.testing.assert_array_equal(line.get_xydata(), np.column_stack(HISTORY[f"{stage}/{name}"]))
    np.testing.assert_array_equal(rate.lines[0].get_ydata(), 0.1 / EPOCHS)
    assert legend(figure) == ["training", "validation", "best epoch 8, by validation accuracy"]
    assert accuracy.get_title() == "accuracy (validation 0.9300)"
    assert loss.get_title() == "loss (validation 0.3250)"
    low, high = accuracy.get_ylim()
    assert 0.5 < low < 0.7  # the first two of ten epochs may fall below, 0.1 and 0.6
    assert 0.93 < high < 1.01


@pytest.mark.parametrize(
    ("history", "points", "names"),
    [
        ({"train/loss": (EPOCHS, 1 / EPOCHS)}, 10, ["training"]),  # without validation, no best epoch
        ({"val/loss": (EPOCHS, (EPOCHS - 4.0) ** 2)}, 10, ["validation", "best epoch 4, by validation loss"]),
        (
            {"val/loss": ([1, 2, 3], [0.4, np.nan, 0.5])},
            2,
            ["validation", "best epoch 1, by validation loss"],
        ),
        ({"train/loss": ([1], [0.5])}, 1, ["training"]),
    ],
)
def test_an_incomplete_history_is_drawn_as_far_as_it_goes(
    history: dict[str, Any], points: int, names: list[str]
) -> None:
    figure = figures.learning_curves(history)
    (ax,) = figure.axes
    assert len(ax.lines[0].get_xydata()) == points
    assert ax.lines[0].get_marker() == "o"  # few points are marked
    assert ax.get_xlim()[0] < 1 < ax.get_xlim()[1]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names


def test_reliability_draws_the_filled_bins_and_the_diagonal() -> None:
    figure = figures.reliability_diagram(
        {
            "stated": {
                "count": np.array([5, 0, 9]),
                "confidence": np.array([0.1, np.nan, 0.9]),
                "accuracy": np.array([0.2, np.nan, 0.8]),
            },
            "scaled": dict.fromkeys(("count", "confidence", "accuracy"), np.array([1])),
        }
    )
    diagonal, first, second = figure.axes[0].lines
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0, 0], [1, 1]])
    np.testing.assert_array_equal(first.get_xydata(), [[0.1, 0.2], [0.9, 0.8]])
    assert (first.get_label(), second.get_label()) == ("stated", "scaled")


def test_risk_is_drawn_over_coverage() -> None:
    (line,) = figures.risk_coverage(np.array([0, 0.5, 1 / 3, 0.25])).axes[0].lines
    np.testing.assert_allclose(line.get_xydata(), [[0.25, 0], [0.5, 0.5], [0.75, 1 / 3], [1, 0.25]])
    assert figures.risk_coverage(np.zeros(5)).axes[0].get_ylim()[1] > 0


def test_changes_are_drawn_with_references_in_grey() -> None:
    figure = change_curves(CHANGES, ["centre", "random"], "lenet5")
    for ax, kind in zip(figure.axes, KINDS, strict=True):
        assert ax.get_title() == kind
        for line in ax.lines:
            np.testing.assert_array_equal(line.get_ydata(), CHANGES[str(line.get_label())][kind])
            np.testing.assert_allclose(line.get_xdata(), np.arange(21) / 20)
        assert [line.get_color() for line in ax.lines] == [BLUE, INK, FAINT]
    assert legend(figure) == ["cam", "centre", "random"]


def test_means_are_drawn_with_intervals_against_the_reference() -> None:
    figure = measure_intervals(MEANS, {"deletion": "lower", "ROAD": "higher"}, "centre", "lenet5")
    deletion, road = figure.axes
    assert deletion.get_title() == "deletion\nlower is better"
    assert [label.get_text() for label in deletion.get_yticklabels()] == ["cam", "centre", "random"]
    bars, dots = deletion.lines[0:6:2], deletion.lines[1:6:2]
    assert [list(bar.get_xdata()) for bar in bars] == [[0.2, 0.4], [0.4, 0.6], [0.6, 0.8]]
    assert [dot.get_xdata()[0] for dot in dots] == [0.3, 0.5, 0.7]
    assert [dot.get_color() for dot in dots] == [BLUE, VERMILLION, BLUE]
    assert deletion.lines[6].get_xdata()[0] == 0.5
    tinted = [
        ax.patches[0].get_extents().transformed(ax.transData.inverted()).intervalx for ax in figure.axes
    ]
    assert tinted[0] == pytest.approx((deletion.get_xlim()[0], 0.4))
    assert tinted[1] == pytest.approx((0.25, road.get_xlim()[1]))
    assert len(legend(figure)) == 2


def test_randomisation_starts_at_one_and_many_methods_look_different() -> None:
    values = [(0.5, 0.4, 0.6), (-0.2, -0.3, -0.1)]
    names = [f"a rather long method {place}" for place in range(9)]
    figure = randomisation(["head", "body.1"], dict.fromkeys(names, values), "lenet5")
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["none", "head", "body.1"]
    assert [list(line.get_ydata()) for line in ax.lines[:9]] == [[1, 0.5, -0.2]] * 9
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines[:9]}) == 9
    assert ax.get_ylim()[0] < -0.3
    assert legend(figure) == names


@pytest.mark.parametrize("history", [{"val/loss": ([1], [np.nan])}, {"learning_rate": ([1], [0.1])}])
def test_a_history_without_finite_loss_or_accuracy_is_refused(history: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no finite loss or accuracy"):
        figures.learning_curves(history)
