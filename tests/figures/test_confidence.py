"""Reliability diagram and risk against coverage."""

import numpy as np
import pytest

from fmnist.figures import as_image
from fmnist.figures.confidence import reliability_diagram, risk_coverage


def test_reliability_draws_the_filled_bins_and_the_diagonal() -> None:
    figure = reliability_diagram(
        {"stated": ([0.1, np.nan, 0.9], [0.2, np.nan, 0.8]), "scaled": ([0.5], [0.5])}
    )
    (axes,) = figure.axes
    diagonal, first, second = axes.lines
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0, 0], [1, 1]])
    np.testing.assert_array_equal(first.get_xydata(), [[0.1, 0.2], [0.9, 0.8]])
    assert (first.get_label(), second.get_label()) == ("stated", "scaled")
    assert as_image(figure).std() > 0


def test_reliability_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"stated: .* must be alike"):
        reliability_diagram({"stated": ([0.1, 0.2], [0.2])})
    with pytest.raises(ValueError, match="1 to 6 series, got 0"):
        reliability_diagram({})


def test_risk_is_drawn_over_coverage() -> None:
    figure = risk_coverage([0, 0.5, 1 / 3, 0.25])
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0, 0.5, 1 / 3, 0.25])
    assert as_image(risk_coverage(np.zeros(5))).std() > 0


@pytest.mark.parametrize("risk", [[], [[0.1]]])
def test_risk_refuses_another_shape(risk: list[float]) -> None:
    with pytest.raises(ValueError, match=r"must have the shape \(N,\)"):
        risk_coverage(risk)
