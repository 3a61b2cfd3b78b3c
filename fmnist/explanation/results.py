"""Write results: the output folder, and the tables and charts of ``--faithfulness`` and ``--sanity``."""

import csv
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from fmnist import figures
from fmnist.core.errors import quoted, reports_unwritable
from fmnist.core.files import write_arrays, write_file
from fmnist.core.runs import Run
from fmnist.core.statistics import interval, resampled
from fmnist.core.tables import Column, Row, Table, counted
from fmnist.explanation import faithfulness, sanity
from fmnist.explanation.attribution import Explainer
from fmnist.explanation.faithfulness import CENTRE, MEASURES, RANDOM, Faithfulness
from fmnist.explanation.selection import PREDICTED, Selection, Target
from fmnist.figures import checks as charts
from fmnist.models.loading import in_batches

FIELDS = {
    *("method", "measure", "layer", "images"),
    *("mean", "low", "high", "gain", "gain_low", "gain_high", "verdict"),
}
"""Columns of ``faithfulness.csv``."""
RESAMPLES = 2_000  # of the bootstrap; 10,000 of 1,000 images would take 80 MB
BETTER, WORSE, ALIKE = "better", "worse", "alike"


def folder_of(run: Run) -> Path:
    """Return the folder of a run's explanations in the run."""
    return run.path / "figures" / "explanations"


class Output:
    """Writes figures, arrays and tables, each complete or not at all; to be used in ``with``.

    ``is_of_run`` says whether the folder is in the run; ``replaced`` counts the figures that took the place
    of an earlier one of that name.

    Args:
        run: The run that is explained.
        folder: Folder to write into; None for ``figures/explanations/`` of the run, and its TensorBoard.

    Raises:
        InputError: The folder cannot be written.
    """

    def __init__(self, run: Run, folder: str | Path | None = None) -> None:
        self.folder = folder_of(run) if folder is None else Path(folder)
        self.is_of_run, self.replaced = folder is None, 0
        with self._reporting():
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()  # finds a read-only folder before maps are made
            self._tensorboard = SummaryWriter(str(run.path)) if folder is None else None

    def __enter__(self) -> "Output":
        return self

    def __exit__(self, *_: object) -> None:
        if self._tensorboard is not None:
            with self._reporting():  # the last events are written now
                self._tensorboard.close()

    def figure(self, name: str, figure: Figure, tensorboard: bool = True) -> None:
        """Write ``<name>.png``, and an image of TensorBoard unless that is switched off."""
        self.replaced += (self.folder / f"{name}.png").exists()
        with warnings.catch_warnings(), self._reporting():
            # a picture's name may be in a script that the font lacks
            warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font")
            figures.save(figure, self.folder / f"{name}.png")
            if tensorboard and self._tensorboard is not None:
                image = figures.as_image(figure)
                self._tensorboard.add_image(f"explanations/{name}", image, dataformats="HWC")

    def text(self, name: str, text: str) -> None:
        """Write a text file of that name."""
        with self._reporting():
            write_file(self.folder / name, text)

    def arrays(self, name: str, **arrays: Any) -> None:
        """Write ``<name>.npz``."""
        with self._reporting():
            write_arrays(self.folder / f"{name}.npz", arrays)

    def _reporting(self) -> Any:
        return reports_unwritable(f"--output {quoted(self.folder)}")


def write_faithfulness(run: Run, explainers: list[Explainer], images: Selection, output: Output) -> str:
    """Measure how faithful methods are, and write ``faithfulness.csv``, ``.md``, ``.npz`` and two charts.

    Each image is explained for its predicted class. The CSV keeps earlier rows of other methods and layers.

    Returns:
        The table, as Markdown.
    """
    network = explainers[0].network
    explanations = {explainer.method.title: explainer for explainer in explainers}
    coefficients = _predicted_coefficients(explainers[0], images)
    measured = faithfulness.measure(network, explanations, images.images, coefficients, progress=True)
    rows = compare_with_centre(measured)
    layers = {explainer.method.title: explainer.layer or "" for explainer in explainers}
    rows = [row | {"layer": layers.get(row["method"], ""), "images": len(images.images)} for row in rows]
    title = (
        f"Faithfulness of explanations of {run.record['name']}, {counted(len(images.images), 'test image')}"
    )
    caveats = [f"- {each.method.title}: {each.method.caveat}.\n" for each in explainers if each.method.caveat]
    text = faithfulness_markdown(rows, title) + "".join(caveats)
    now = {(row["method"], row["layer"]) for row in rows}
    kept = _recorded(output.folder) if output.is_of_run else []  # another folder may hold another run's
    earlier = [row for row in kept if (row["method"], row["layer"]) not in now]
    output.text("faithfulness.csv", Table("faithfulness", title, [], rows + earlier).csv())
    output.text("faithfulness.md", text)
    output.arrays(
        "faithfulness",
        methods=np.array(list(measured)),
        measures=np.array(list(MEASURES)),
        scores=np.array([list(result.values.values()) for result in measured.values()]),
        curves=np.array([list(result.curves.values()) for result in measured.values()]),
        names=np.array(images.names),
    )
    curves = {method: result.curves for method, result in measured.items()}
    output.figure("faithfulness-curves", charts.change_curves(curves, [CENTRE, RANDOM], title))
    means: dict[str, dict[str, charts.Interval]] = {method: {} for method in measured}
    for row in rows:
        means[row["method"]][row["measure"]] = (row["mean"], row["low"], row["high"])
    compared = {measure: better for measure, better in MEASURES.items() if measure != "sensitivity"}
    chart = charts.measure_intervals(means, compared, CENTRE, f"{title}, 95 % intervals")
    output.figure("faithfulness", chart)
    return text


def compare_with_centre(measured: Mapping[str, Faithfulness]) -> list[Row]:
    """Compare every method with the centre Gaussian, measure by measure.

    Sensitivity has no verdict: nothing can be better in it than a map that never changes.

    Returns:
        For each method and measure: ``mean`` with its 95 % interval ``low`` to ``high``; ``gain``, the mean
        difference from the centre Gaussian, positive where the method is better, with its paired interval
        ``gain_low`` to ``gain_high``; and the ``verdict`` ``better`` or ``worse`` where that interval
        excludes 0, otherwise ``alike``, or empty where there is nothing to compare.
    """
    shares = _resampled_shares(len(measured[CENTRE].values["ROAD"]))
    rows = []
    for method, result in measured.items():
        for measure, better in MEASURES.items():
            values, reference = result.values[measure], measured[CENTRE].values[measure]
            gains = values - reference if better == "higher" else reference - values
            low, high = interval(shares @ values)
            gain_low, gain_high = interval(shares @ gains)
            verdict = BETTER if gain_low > 0 else WORSE if gain_high < 0 else ALIKE
            row = {
                "method": method,
                "measure": measure,
                "mean": float(values.mean()),
                "low": low,
                "high": high,
                "gain": float(gains.mean()),
                "gain_low": gain_low,
                "gain_high": gain_high,
                "verdict": "" if method == CENTRE or measure == "sensitivity" else verdict,
            }
            rows.append(row)
    return rows


def faithfulness_markdown(rows: list[Row], title: str) -> str:
    """Return the comparison for people: a row a method, a column a measure, and what follows from it."""
    texts: dict[str, Row] = {}
    for row in rows:
        text = f"{row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}] {row['verdict']}".strip()
        texts.setdefault(row["method"], {"method": row["method"]})[row["measure"]] = text
    columns = [
        Column("method", "method"),
        *(Column(f"{measure} ({better} is better)", measure) for measure, better in MEASURES.items()),
    ]
    table = Table("faithfulness", title, columns, list(texts.values()))
    note = (
        f"Means with 95 % bootstrap intervals; better, worse or alike: than the {CENTRE}, by the paired "
        "interval of the difference. Sensitivity is not compared: a map that depends on no image never "
        "changes."
    )
    return "\n".join([table.markdown(), note, "", *_verdict_lines(rows)]) + "\n"


def _verdict_lines(rows: list[Row]) -> list[str]:
    """Return a line for each method: in which measures it beats the centre Gaussian and in which not."""
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        if method in (CENTRE, RANDOM):
            continue
        parts = []
        for verdict, phrase in ((BETTER, "beats"), (ALIKE, "is like"), (WORSE, "is beaten by")):
            measures = [
                row["measure"] for row in rows if (row["method"], row["verdict"]) == (method, verdict)
            ]
            if measures:
                parts.append(f"{phrase} the {CENTRE} in {len(measures)} ({'; '.join(measures)})")
        lines.append(f"- {method}, of {len(MEASURES) - 1} measures: " + ". It ".join(parts) + ".")
    return lines


def known_faithfulness(folder: Path, explainer: Explainer) -> str:
    """Say in a line whether a method beats the centre Gaussian, or how to measure it.

    ``folder`` holds what was measured last of the explainer's network.
    """
    title, layer = explainer.method.title, explainer.layer or ""
    rows = [row for row in _recorded(folder) if (row["method"], row["layer"]) == (title, layer)]
    if not rows:
        flag = f" --layer {layer}" if explainer.layer else ""
        return (
            f"{title}: not yet compared with a Gaussian in the middle of the image; to do so, add "
            f"--faithfulness 200 --method {explainer.name}{flag}"
        )
    verdicts = [row["verdict"] for row in rows]
    return (
        f"{title}: better than a Gaussian in the middle of the image in {verdicts.count(BETTER)} of "
        f"{len(MEASURES) - 1} measures and worse in {verdicts.count(WORSE)}, "
        f"{counted(int(rows[0]['images']), 'test image')} ({quoted(folder / 'faithfulness.csv')})"
    )


def _recorded(folder: Path) -> list[Row]:
    """Return the rows of ``faithfulness.csv``; none if there is no such file, or another one."""
    try:
        with (folder / "faithfulness.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return []
    return [row for row in rows if row.keys() == FIELDS and (row["images"] or "").isdecimal()]


def write_sanity(run: Run, explainers: list[Explainer], images: Selection, output: Output) -> str:
    """Randomise the network layer by layer, and write ``sanity.csv`` and a chart.

    Each image is explained for its predicted class.

    Returns:
        A line for each method, and a remark on maps that are 0 where the image is black.
    """
    coefficients = _predicted_coefficients(explainers[0], images)
    layers, similarity = sanity.cascade(explainers, images.images, coefficients, progress=True)
    count = len(images.images)
    shares = _resampled_shares(count)
    correlations = {
        each.method.title: [
            (float(values.mean()), *interval(shares @ values)) for values in similarity[each.name]
        ]
        for each in explainers
    }
    rows = [
        {"method": method, "randomised_down_to": at, "rank_correlation": mean, "low": low, "high": high}
        for method, values in correlations.items()
        for at, (mean, low, high) in zip(layers, values, strict=True)
    ]
    title = f"Maps of {run.record['name']} while its layers are randomised, {counted(count, 'test image')}"
    output.text("sanity.csv", Table("sanity", title, [], [row | {"images": count} for row in rows]).csv())
    output.figure("sanity", charts.randomisation(layers, correlations, title))
    lines = [
        f"- {method}: rank correlation {values[0][0]:.2f} with the head randomised, "
        f"{values[-1][0]:.2f} [{values[-1][1]:.2f}, {values[-1][2]:.2f}] with every layer"
        for method, values in correlations.items()
    ]
    if zero := " and ".join(each.method.title for each in explainers if each.method.zero_on_black):
        remark = f"Maps of {zero} are 0 where the image is black: the silhouette alone keeps them alike."
        lines.insert(0, remark)
    return "\n".join(lines)


def _resampled_shares(count: int) -> np.ndarray:
    """Return the share of each image in each bootstrap resample, float64 (RESAMPLES, count)."""
    return resampled(np.ones(count, np.int64), RESAMPLES) / count


def _predicted_coefficients(explainer: Explainer, images: Selection) -> np.ndarray:
    predicted = in_batches(explainer.network, images.images).argmax(1)
    return Target(PREDICTED).coefficients(predicted, None)
