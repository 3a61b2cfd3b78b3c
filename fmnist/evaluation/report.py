"""What `scripts/evaluate.py` leaves in a run folder: metrics as JSON, text and CSV, PNGs, and a page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fmnist import figures
from fmnist.core import calibration
from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError, quoted, reports_unwritable
from fmnist.core.files import to_json, write_file
from fmnist.core.predictions import Predictions
from fmnist.core.runs import UNTESTED, Run
from fmnist.core.statistics import most_confident, softmax
from fmnist.core.tables import counted, rounded_down
from fmnist.evaluation import charts, page, rerun
from fmnist.evaluation import report_content as content
from fmnist.evaluation.results import RunResult, runs_table
from fmnist.evaluation.summary import summarise
from fmnist.robustness import photograph_tables, shift_tables
from fmnist.robustness.real_photographs import find_sheets, read_photographs
from fmnist.robustness.shifts import read_shifts

PAIRS, IMAGES_OF_PAIR, LABEL_ERRORS = 4, 8, 24  # shown at most


@dataclass(frozen=True)
class Evaluation:
    """The content of one run's files.

    Attributes:
        result: The run, with its predictions of the test set.
        metrics: The content of ``metrics.json``.
        images: Of the test set, uint8 (N, 28, 28), in the order of the source file; None where they are
            not on this machine.
    """

    result: RunResult
    metrics: dict[str, Any]
    images: np.ndarray | None

    @property
    def summary(self) -> dict[str, Any]:
        """The part of ``metrics.json`` on the test set."""
        return self.metrics["test"]

    @property
    def test(self) -> Predictions:
        """The run's predictions of the test set."""
        return self.result.test

    @cached_property
    def probabilities(self) -> np.ndarray:
        """The probabilities that the page shows, (N, 10): temperature-scaled where it was fitted."""
        return softmax(self.test.logits, self.summary["temperature"] or 1.0)

    @property
    def has_probabilities(self) -> bool:
        """Whether they are probabilities, and not decision scores that no temperature was fitted to."""
        return self.summary["risk_coverage"] is not None

    @cached_property
    def reliability(self) -> dict[str, dict[str, np.ndarray]]:
        """The reliability bins as stated and after temperature scaling, as far as they exist."""
        temperatures = {
            "as stated": 1.0 if self.summary["raw"] else None,
            "temperature-scaled": self.summary["temperature"],
        }
        return {
            name: calibration.reliability(*self._confidences(softmax(self.test.logits, temperature)))
            for name, temperature in temperatures.items()
            if temperature is not None
        }

    @cached_property
    def risk(self) -> np.ndarray:
        """The error rate among the k most confident predictions, k = 1..N."""
        return calibration.risk_by_coverage(*self._confidences(self.probabilities))

    def _confidences(self, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return calibration.confidences(probabilities, self.test.labels)


def check_tested(run: Run) -> None:
    """Refuse a run that has no results on the test set.

    Raises:
        InputError: It is not finished, or was not to be tested.
    """
    if not run.is_scored:
        raise InputError(f"{quoted(run.path)}: is {run.state}; only a finished run is evaluated")
    if not run.is_tested:
        raise InputError(f"{quoted(run.path)}: {UNTESTED}")


def write_report(run: Run, root: str = "data") -> tuple[dict[str, Any], list[str]]:
    """Write ``metrics.json``, ``classification_report.*``, ``figures/`` and ``report.html`` of a run.

    Args:
        run: The run; predictions that are missing or damaged are computed again.
        root: Folder of the data set, for pictures and for these predictions.

    Returns:
        What ``metrics.json`` holds, and lines on what was computed again or left out.

    Raises:
        InputError: The run is not finished or not tested, its predictions cannot be had, or its folder cannot
            be written.
    """
    check_tested(run)
    test, val, lines = rerun.predictions(run, root)
    images, pictures_note = page.load_test_images(run, root)
    metrics: dict[str, Any] = {
        "name": run.record.get("name"),
        "test": summarise(test, val, run.score_type),
        "speed": None,
    }
    try:
        metrics["speed"] = rerun.measure_speed(run, images)
    except InputError as error:
        lines.append(f"no time per image: {error}")
    shifted = None
    try:
        shifted = read_shifts(run)
    except InputError as error:
        lines.append(f"no section on shifted images: {error}")
    photographs, damaged = read_photographs(run)
    lines += [f"no section on photographs: {line}" for line in damaged]
    evaluation = Evaluation(RunResult(run, test), metrics, images)
    with reports_unwritable(quoted(run.path)):
        write_file(run.path / "metrics.json", to_json(metrics))
        classification = content.classification_table(evaluation.summary)
        write_file(run.path / "classification_report.csv", classification.csv())
        write_file(run.path / "classification_report.txt", test.report())
        for name, figure in _figures(evaluation).items():
            figures.save(figure, run.path / "figures" / f"{name}.png")
        _save_page(evaluation, pictures_note, shifted, photographs)
    return metrics, [*lines, *([pictures_note] if pictures_note else [])]


def _figures(evaluation: Evaluation) -> dict[str, Any]:
    """Draw reliability, risk against coverage and the confused pairs, as far as the run allows."""
    test, summary, drawn = evaluation.test, evaluation.summary, {}
    if summary["risk_coverage"] is not None:
        drawn["reliability"] = figures.reliability_diagram(evaluation.reliability)
        drawn["risk_coverage"] = figures.risk_coverage(evaluation.risk)
    if evaluation.images is not None:
        pairs = summary["confused_pairs"][:PAIRS]
        rows = np.concatenate([_confused_rows(evaluation, pair) for pair in pairs])
        predicted = evaluation.result.predicted
        drawn["confused_pairs"] = figures.image_grid(
            evaluation.images[test.indices[rows]],
            [f"{CLASSES[test.labels[row]]} →\n{CLASSES[predicted[row]]}" for row in rows],
            title="Confused pairs (true → predicted): T-shirt/top and Shirt, then the most frequent",
        )
    return drawn


def _save_page(
    evaluation: Evaluation,
    pictures_note: str,
    shifted: dict[str, Any] | None,
    photographs: Sequence[dict[str, Any]],
) -> None:
    run, summary = evaluation.result.run, evaluation.summary
    name = evaluation.result.name
    confusion = {"rows": CLASSES, "columns": CLASSES, "values": summary["confusion_matrix"], "unit": "images"}
    matrices: dict[str, Any] = {"confusion": confusion}
    tables = [
        content.classification_table(summary),
        content.calibration_table(summary),
        content.errors_table(evaluation.test, evaluation.probabilities, evaluation.has_probabilities),
        runs_table([(name, evaluation.result)]),
    ]
    if shifted:
        matrices["shifts"] = shift_tables.heat_map(shifted)
        tables += shift_tables.run_tables(shifted)
    for measured in photographs:
        matrices[f"photographs-{measured['name']}"] = photograph_tables.confusion(measured)
        tables += photograph_tables.run_tables(measured)
    explanations, explanations_note = page.embed_explanations(run.path / "figures" / "explanations")
    html = page.render(
        "report.html",
        {
            "charts": _charts(evaluation),
            "matrices": matrices,
            "tables": {table.name: table.rows for table in tables},
            "metrics": summary,
        },
        title=name,
        kicker=f"{quoted(run.path)}, evaluated on {counted(len(evaluation.test.labels), 'test image')}",
        warnings=[],
        tables={table.name: table for table in tables},
        opening=content.opening(name, summary),
        key_figures=content.key_figures(run.record, evaluation.metrics),
        pairs=[
            (content.confusion_sentence(pair), _pictures(evaluation, _confused_rows(evaluation, pair)))
            for pair in summary["confused_pairs"][:PAIRS]
        ],
        calibration=content.calibration_sentences(summary, run.score_type),
        has_probabilities=evaluation.has_probabilities,
        is_calibrated=summary["temperature"] is not None,
        errors=_pictures(evaluation, content.worst_errors(evaluation.test, evaluation.probabilities)),
        label_errors_sentence=content.label_error_sentence(summary),
        label_errors=_pictures(evaluation, _label_error_rows(evaluation)),
        pictures_note=pictures_note,
        shifts=shift_tables.summary(shifted) if shifted else [],
        photographed=f"{shifted['photographs']['images']:,}" if shifted else "",
        photographs=[
            {
                "name": measured["name"],
                "sentences": photograph_tables.summary(measured),
                "key_figures": photograph_tables.key_figures(measured),
                "tables": photograph_tables.run_tables(measured),
                "sheets": [
                    page.embed_png(path, title) for title, path in find_sheets(run, measured["name"]).items()
                ],
            }
            for measured in photographs
        ],
        explanations=explanations,
        explanations_note=explanations_note,
    )
    write_file(run.path / "report.html", html)


def _charts(evaluation: Evaluation) -> dict[str, charts.Chart]:
    curves = {evaluation.result.name: evaluation.result.curves}
    colour = charts.colours([evaluation.result.name])
    drawn = {
        "classes": charts.class_scores(evaluation.summary["classes"]),
        "accuracy_curves": charts.learning_curves(curves, "accuracy", colour),
        "loss_curves": charts.learning_curves(curves, "loss", colour),
    }
    if evaluation.has_probabilities:
        drawn["reliability"] = charts.reliability(evaluation.reliability)
        drawn["risk_coverage"] = charts.risk_coverage(evaluation.risk)
    return drawn


def _confused_rows(evaluation: Evaluation, pair: Mapping[str, Any]) -> np.ndarray:
    """Return the rows of a pair's most confident confusions, half of them of each class where they exist."""
    labels, predicted = evaluation.test.labels, evaluation.result.predicted
    confidence = evaluation.probabilities.max(1)
    one, other = CLASSES.index(pair["one"]), CLASSES.index(pair["other"])
    halves = []
    for true, wrong in ((one, other), (other, one)):
        rows = np.flatnonzero((labels == true) & (predicted == wrong))
        halves.append(most_confident(rows, confidence, IMAGES_OF_PAIR // 2))
    return np.concatenate(halves)


def _label_error_rows(evaluation: Evaluation) -> np.ndarray:
    """Return the rows of the most likely label errors."""
    row_of = {index: row for row, index in enumerate(evaluation.test.indices.tolist())}
    indices = evaluation.summary["likely_label_errors"] or []
    return np.array([row_of[index] for index in indices[:LABEL_ERRORS]], int)


def _pictures(evaluation: Evaluation, rows: Iterable[int]) -> list[page.Picture]:
    """Embed test images, each with its label, the predicted class and its probability if there are any."""
    test, predicted = evaluation.test, evaluation.result.predicted

    def probability(row: int) -> str:
        return f" {rounded_down(evaluation.probabilities[row].max())}" if evaluation.has_probabilities else ""

    if evaluation.images is None:
        return []
    return [
        page.embed_image(
            evaluation.images[test.indices[row]],
            CLASSES[test.labels[row]],
            f"→ {CLASSES[predicted[row]]}{probability(row)}",
            f"no. {test.indices[row]}",
        )
        for row in rows
    ]
