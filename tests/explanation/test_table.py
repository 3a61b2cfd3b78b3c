"""The table of faithfulness: intervals, verdicts, and the three forms that it takes."""

import csv
import io

import numpy as np
import pytest
from scipy import stats

from fmnist.explanation.faithfulness import CENTRE, CURVES, MEASURES, RANDOM, Faithfulness
from fmnist.explanation.table import ALIKE, BETTER, RESAMPLES, WORSE, as_csv, as_markdown, interval, tabulate

COUNT = 400


def result(shift: float, seed: int = 0, noise: float = 0.01) -> Faithfulness:
    """Return scores that differ from those of shift 0 by ``shift`` and a little noise."""
    common, own = np.random.default_rng(99).normal(size=COUNT), np.random.default_rng(seed)
    scores = {name: common + shift + noise * own.normal(size=COUNT) for name in MEASURES}
    return Faithfulness(scores, {name: np.zeros(21) for name in CURVES})


@pytest.fixture
def measured() -> dict[str, Faithfulness]:
    return {
        "up": result(0.1, 1),
        "down": result(-0.1, 2),
        "same": result(0, 3),
        RANDOM: result(0, 4, 3),
        CENTRE: result(0),
    }


def test_the_interval_is_that_of_a_bootstrap() -> None:
    values = np.random.default_rng(0).gamma(2, size=COUNT)
    shares = np.random.default_rng(1).multinomial(COUNT, np.full(COUNT, 1 / COUNT), RESAMPLES) / COUNT
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=RESAMPLES, rng=2)
    low, high = interval(values, shares)
    assert (low, high) == pytest.approx(tuple(expected.confidence_interval), abs=0.015)


def test_verdicts_come_from_paired_differences(measured: dict[str, Faithfulness]) -> None:
    verdicts = {(cell.method, cell.measure): cell.verdict for cell in tabulate(measured)}
    # the spread of the scores, 1, hides a difference of 0.1, but not that of the pairs
    for measure, better in MEASURES.items():
        if measure != "sensitivity":
            assert verdicts["up", measure] == (BETTER if better == "higher" else WORSE)
            assert verdicts["down", measure] == (WORSE if better == "higher" else BETTER)
            assert verdicts["same", measure] == ALIKE
        assert verdicts[CENTRE, measure] == ""
    assert verdicts["up", "sensitivity"] == ""


def test_gains_are_positive_where_a_method_is_better(measured: dict[str, Faithfulness]) -> None:
    for cell in tabulate(measured):
        assert cell.low <= cell.mean <= cell.high
        assert cell.gain_low <= cell.gain <= cell.gain_high
        if cell.method == "up":
            assert cell.gain == pytest.approx(0.1 if MEASURES[cell.measure] == "higher" else -0.1, abs=0.01)


def test_markdown(measured: dict[str, Faithfulness]) -> None:
    cells = tabulate(measured)
    lines = as_markdown(cells, COUNT).splitlines()
    assert all(line.count("|") == len(MEASURES) + 2 for line in lines[: 2 + len(measured)])
    cell = next(cell for cell in cells if (cell.method, cell.measure) == ("up", "ROAD"))
    assert f"| {cell.mean:.3f} [{cell.low:.3f}, {cell.high:.3f}] better |" in lines[2]
    assert "Means over 400 test images" in lines[8]
    assert lines[10].startswith(
        f"- up beats the {CENTRE} in insertion, black; insertion, blurred; ROAD, is beaten"
    )
    assert lines[12] == f"- same is like the {CENTRE} in " + "; ".join(list(MEASURES)[:-1]) + "."
    assert len(lines) == 13  # the references get no line


def test_csv_holds_every_number(measured: dict[str, Faithfulness]) -> None:
    cells = tabulate(measured)
    rows = list(csv.DictReader(io.StringIO(as_csv(cells))))
    assert len(rows) == len(cells) == len(measured) * len(MEASURES)
    assert [float(row["gain_low"]) for row in rows] == [cell.gain_low for cell in cells]
    assert [row["verdict"] for row in rows] == [cell.verdict for cell in cells]
