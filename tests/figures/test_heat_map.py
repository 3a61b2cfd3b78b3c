"""The heat map of accuracies."""

from typing import Any

import numpy as np
import pytest

from fmnist.figures.canvas import as_image
from fmnist.figures.heat_map import heat_map

ROWS = {"noise": [1.0, 0.5, 0.0], "inverse": [0.2], "flip": [0.9]}


def test_every_value_and_mean_is_written_and_shaded() -> None:
    figure = heat_map(ROWS, ["1", "2", "3"], "a title", "severity", breaks=[2])
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == [
        "1.000", "0.500", "0.000", "0.500", "0.200", "0.200", "0.900", "0.900",
    ]  # fmt: skip
    assert [label.get_text() for label in ax.get_yticklabels()] == list(ROWS)
    bars: list[Any] = list(ax.patches)
    colours = np.array([bar.get_facecolor() for bar in bars])
    np.testing.assert_allclose(colours[0, :3], 1, atol=0.01)
    assert colours[2, 2] < colours[1, 2] < 1
    assert bars[4].get_width() == pytest.approx(3, abs=0.1)  # one value for all columns
    steps = np.diff(ax.get_yticks())
    assert steps[1] > steps[0] == 1
    assert as_image(figure).shape[2] == 3


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="'noise' must have 1 or 2 values, got 3"):
        heat_map(ROWS, ["1", "2"], "a title")
