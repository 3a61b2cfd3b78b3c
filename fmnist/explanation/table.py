"""The table of faithfulness: means with intervals, and which methods beat a map that looks at no image."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fmnist.explanation.faithfulness import CENTRE, MEASURES, RANDOM, Faithfulness

RESAMPLES = 2_000
BETTER, WORSE, ALIKE = "better", "worse", "alike"


@dataclass(frozen=True)
class Cell:
    """One measure of one method.

    Attributes:
        method: Its name.
        measure: One of ``MEASURES``.
        mean: Over the images.
        low: Of the 95 % interval of the mean.
        high: Of the same.
        gain: Mean difference from the centre Gaussian, positive where the method is better.
        gain_low: Of the paired 95 % interval of the gain.
        gain_high: Of the same.
        verdict: ``better`` or ``worse`` than the centre Gaussian where that interval excludes 0, otherwise
            ``alike``; empty where there is nothing to compare.
    """

    method: str
    measure: str
    mean: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    verdict: str


def tabulate(measured: Mapping[str, Faithfulness], seed: int = 0) -> list[Cell]:
    """Compare every method with the centre Gaussian, measure by measure.

    Sensitivity has no verdict: a map that never changes cannot be beaten in it.

    Args:
        measured: By method, with the centre Gaussian among them, all of the same images.
        seed: Of the bootstrap.
    """
    images = len(measured[CENTRE].scores["ROAD"])
    generator = np.random.default_rng(seed)
    shares = generator.multinomial(images, np.full(images, 1 / images), RESAMPLES) / images
    cells = []
    for method, result in measured.items():
        for measure, better in MEASURES.items():
            scores, centre = result.scores[measure], measured[CENTRE].scores[measure]
            gains = scores - centre if better == "higher" else centre - scores
            gain_low, gain_high = interval(gains, shares)
            verdict = BETTER if gain_low > 0 else WORSE if gain_high < 0 else ALIKE
            if method == CENTRE or measure == "sensitivity":
                verdict = ""
            cells.append(
                Cell(
                    method, measure, scores.mean(), *interval(scores, shares),
                    gains.mean(), gain_low, gain_high, verdict,
                )
            )  # fmt: skip
    return cells


def interval(values: np.ndarray, shares: np.ndarray) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of a mean.

    Args:
        values: float64 (N,).
        shares: float64 (B, N), for each resample the share that each value has in it.
    """
    low, high = np.quantile(shares @ values, (0.025, 0.975))
    return float(low), float(high)


def as_markdown(cells: list[Cell], images: int) -> str:
    """Return the table for people: a row a method, a column a measure, and what follows from it."""
    rows = [
        ["", *(f"{measure} ({better} is better)" for measure, better in MEASURES.items())],
        ["---"] * (len(MEASURES) + 1),
    ]
    for method in dict.fromkeys(cell.method for cell in cells):
        mine = [cell for cell in cells if cell.method == method]
        texts = (f"{c.mean:.3f} [{c.low:.3f}, {c.high:.3f}] {c.verdict}".strip() for c in mine)
        rows.append([method, *texts])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    note = (
        f"Means over {images:,} test images with 95 % bootstrap intervals; better, worse or alike: "
        f"than the {CENTRE}, by the paired interval of the difference. Sensitivity is not compared: a map "
        "that looks at no image never changes."
    )
    return "\n".join([*lines, "", note, "", *verdicts(cells)]) + "\n"


def verdicts(cells: list[Cell]) -> list[str]:
    """Say of every method in one line in which measures it beats the centre Gaussian and in which not."""
    lines = []
    for method in dict.fromkeys(cell.method for cell in cells):
        if method in (CENTRE, RANDOM):
            continue
        parts = []
        for verdict, words in ((BETTER, "beats"), (ALIKE, "is like"), (WORSE, "is beaten by")):
            found = [c.measure for c in cells if c.method == method and c.verdict == verdict]
            if found:
                parts.append(f"{words} the {CENTRE} in {'; '.join(found)}")
        lines.append(f"- {method} " + ", ".join(parts) + ".")
    return lines


def as_csv(cells: list[Cell]) -> str:
    """Return every number of the table, one line a method and measure."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Cell.__annotations__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(vars(cell) for cell in cells)
    return text.getvalue()
