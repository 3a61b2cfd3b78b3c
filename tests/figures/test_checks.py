"""The charts of checks show the numbers that they are given."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from fmnist.figures import as_image
from fmnist.figures.canvas import BLUE, FAINT, INK, VERMILLION
from fmnist.figures.checks import change_curves, measure_intervals, randomisation

KINDS = ("deletion", "insertion")
CURVES = {
    name: {kind: np.linspace(1, place / 4, 21) for kind in KINDS}
    for place, name in enumerate(["cam", "centre", "random"])
}
MEANS = {
    "cam": {"deletion": (0.3, 0.2, 0.4), "ROAD": (0.1, 0.0, 0.2)},
    "centre": {"deletion": (0.5, 0.4, 0.6), "ROAD": (0.2, 0.15, 0.25)},
    "random": {"deletion": (0.7, 0.6, 0.8), "ROAD": (0.0, -0.1, 0.1)},
}


def inside(figure: Figure) -> bool:
    as_image(figure)
    box = figure.legends[0].get_window_extent()
    return box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0


def test_curves_are_drawn_with_references_in_grey() -> None:
    figure = change_curves(CURVES, ["centre", "random"], "lenet5")
    assert [ax.get_title() for ax in figure.axes] == list(KINDS)
    for ax, kind in zip(figure.axes, KINDS, strict=True):
        for line in ax.lines:
            np.testing.assert_array_equal(line.get_ydata(), CURVES[str(line.get_label())][kind])
            np.testing.assert_allclose(line.get_xdata(), np.arange(21) / 20)
        assert [line.get_color() for line in ax.lines] == [BLUE, INK, FAINT]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cam", "centre", "random"]
    assert inside(figure)


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
    low, high = deletion.patches[0].get_extents().transformed(deletion.transData.inverted()).intervalx
    assert (low, high) == pytest.approx((deletion.get_xlim()[0], 0.4))
    low, high = road.patches[0].get_extents().transformed(road.transData.inverted()).intervalx
    assert (low, high) == pytest.approx((0.25, road.get_xlim()[1]))
    assert inside(figure)


def test_randomisation_starts_at_one() -> None:
    similarity = {
        "cam": [(0.5, 0.4, 0.6), (-0.2, -0.3, -0.1)],
        "smoothgrad": [(0.8, 0.7, 0.9), (0.7, 0.6, 0.8)],
    }
    figure = randomisation(["head", "body.1"], similarity, "lenet5")
    ax = figure.axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["none", "head", "body.1"]
    assert [list(line.get_ydata()) for line in ax.lines[:2]] == [[1, 0.5, -0.2], [1, 0.8, 0.7]]
    assert ax.get_ylim()[0] < -0.3
    assert inside(figure)


def test_many_methods_keep_their_key_inside() -> None:
    names = [f"a rather long method {place}" for place in range(9)]
    assert inside(randomisation(["head"], {name: [(0.5, 0.4, 0.6)] for name in names}, "x"))
    figure = change_curves(dict.fromkeys(names, CURVES["cam"]), (), "x")
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 9


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="series must hold at least one method"):
        change_curves({}, (), "")
    with pytest.raises(ValueError, match="reference 'other' must be among the methods"):
        measure_intervals(MEANS, {"deletion": "lower"}, "other", "")
    with pytest.raises(ValueError, match="'cam' must have 2 values, one a layer, got 1"):
        randomisation(["head", "body"], {"cam": [(0, 0, 0)]}, "")
