"""Curves: what is drawn and written equals the arrays, odd input is drawn, wrong shapes are refused."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from fmnist.figures import learning_curves, reliability_diagram, risk_coverage

EPOCHS = np.arange(1, 11)
HISTORY = {
    "train/loss": (EPOCHS, 1 / EPOCHS),
    "val/loss": (EPOCHS, 0.2 + 1 / EPOCHS),
    "train/accuracy": (EPOCHS, 0.95 - 0.5 / EPOCHS),
    "val/accuracy": (EPOCHS, np.array([0.1, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.93, 0.93, 0.91])),
}


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_learning_curves_draw_the_history_and_name_the_first_best_epoch() -> None:
    figure = learning_curves(HISTORY | {"val/f1": ([1], [0.1, 0.2])})  # other keys are ignored
    loss, accuracy = figure.axes
    for ax, name in ((loss, "loss"), (accuracy, "accuracy")):
        for line, stage in zip(ax.lines, ("train", "val"), strict=False):
            np.testing.assert_array_equal(line.get_xydata(), np.column_stack(HISTORY[f"{stage}/{name}"]))
    assert legend(figure) == ["training", "validation", "best epoch 8, by validation accuracy"]
    assert accuracy.get_title() == "accuracy (validation 0.9300)"
    assert loss.get_title() == "loss (validation 0.3250)"
    low, high = accuracy.get_ylim()
    assert 0.5 < low < 0.7  # the first two of ten epochs may fall below, 0.1 and 0.6
    assert 0.93 < high < 1.01
    with_rate = learning_curves(HISTORY | {"learning_rate": (EPOCHS, 0.1 / EPOCHS)})
    np.testing.assert_array_equal(with_rate.axes[2].lines[0].get_ydata(), 0.1 / EPOCHS)


def test_an_incomplete_history_is_drawn_as_far_as_it_goes() -> None:
    figure = learning_curves({key: HISTORY[key] for key in ("train/loss", "train/accuracy")})
    assert len(figure.axes) == 2
    assert legend(figure) == ["training"]  # without validation, no best epoch
    figure = learning_curves({"val/loss": (EPOCHS, (EPOCHS - 4.0) ** 2)})
    assert len(figure.axes) == 1
    assert "best epoch 4, by validation loss" in legend(figure)
    figure = learning_curves({"val/accuracy": ([1, 2, 3], [0.5, np.nan, 0.4])})
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xydata(), [[1, 0.5], [3, 0.4]])
    assert "best epoch 1, by validation accuracy" in legend(figure)


def test_one_epoch_is_drawn_as_markers() -> None:
    figure = learning_curves({key: (epochs[:1], values[:1]) for key, (epochs, values) in HISTORY.items()})
    for ax in figure.axes:
        assert ax.lines[0].get_marker() == "o"
        assert ax.get_xlim()[0] < 1 < ax.get_xlim()[1]


@pytest.mark.parametrize("history", [{}, {"val/loss": ([1], [np.nan])}, {"learning_rate": ([1], [0.1])}])
def test_a_history_without_values_is_refused(history: dict[str, tuple[list[int], list[float]]]) -> None:
    with pytest.raises(ValueError, match="no finite loss or accuracy"):
        learning_curves(history)


def test_reliability_draws_the_filled_bins_and_the_diagonal() -> None:
    figure = reliability_diagram(
        {"stated": ([0.1, np.nan, 0.9], [0.2, np.nan, 0.8]), "scaled": ([0.5], [0.5])}
    )
    diagonal, first, second = figure.axes[0].lines
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0, 0], [1, 1]])
    np.testing.assert_array_equal(first.get_xydata(), [[0.1, 0.2], [0.9, 0.8]])
    assert (first.get_label(), second.get_label()) == ("stated", "scaled")


def test_risk_is_drawn_over_coverage() -> None:
    (line,) = risk_coverage([0, 0.5, 1 / 3, 0.25]).axes[0].lines
    np.testing.assert_allclose(line.get_xydata(), [[0.25, 0], [0.5, 0.5], [0.75, 1 / 3], [1, 0.25]])
    assert risk_coverage(np.zeros(5)).axes[0].get_ylim()[1] > 0


def test_wrong_shapes_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"val/loss.*\(3,\) and \(2,\)"):
        learning_curves({"val/loss": ([1, 2, 3], [0.1, 0.2])})
    with pytest.raises(ValueError, match=r"stated: .* must be alike"):
        reliability_diagram({"stated": ([0.1, 0.2], [0.2])})
    with pytest.raises(ValueError, match="1 to 6 series, got 0"):
        reliability_diagram({})
    for risk in ([], [[0.1]]):
        with pytest.raises(ValueError, match=r"must have the shape \(N,\)"):
            risk_coverage(risk)
