"""What `scripts/evaluate.py` leaves in a run folder: figures as JSON, text and CSV, PNGs, and a page."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from fmnist import figures
from fmnist.core import calibration
from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.core.files import write_file
from fmnist.core.runs import Predictions, Run
from fmnist.core.statistics import softmax
from fmnist.core.tables import Table
from fmnist.evaluation import (
    charts,
    comparison_tables,
    metrics,
    page,
    report_charts,
    rerun,
)
from fmnist.evaluation import report_words as words
from fmnist.evaluation.collection import Group, Member
from fmnist.evaluation.pictures import Picture, explanations, load_test_images, picture
from fmnist.evaluation.report_tables import (
    calibration_table,
    classification_table,
    errors_table,
    worst_errors,
)
from fmnist.figures import reliability_diagram, risk_coverage
from fmnist.robustness import measure as shifts
from fmnist.robustness import tables as shifts_tables

PAIRS, OF_PAIR, SUSPECTS = 4, 8, 24  # shown at most


def write_report(run: Run, root: str = "data") -> tuple[dict[str, Any], list[str]]:
    """Evaluate a finished run into its folder.

    Writes ``metrics.json``, ``classification_report.txt`` and ``.csv``, ``figures/`` and ``report.html``.

    Args:
        run: The run; its missing predictions are made again.
        root: Where the data set is looked for, for pictures and for what is missing.

    Returns:
        What ``metrics.json`` holds, and lines on what was made again or left out.

    Raises:
        InputError: The run is not finished, its predictions are damaged, or its folder cannot be written.
    """
    if run.record.get("status") != "finished":
        raise InputError(f"{run.path}: is {run.record.get('status')}; only a finished run is evaluated")
    test, val, lines = rerun.predictions(run, root)
    images, note = load_test_images(root, run.record.get("data_sha256"))
    figures_of_test = metrics.evaluate(test, val, run.score_type)
    found: dict[str, Any] = {"name": run.record.get("name"), "test": figures_of_test}
    try:
        found["speed"] = rerun.measure_speed(run, images)
    except InputError as error:
        found["speed"] = None
        lines.append(f"no time per image: {error}")
    try:
        _write(run, found, test, images, note)
    except OSError as error:
        raise InputError(f"{run.path}: cannot be written ({error.strerror})") from None
    return found, [*lines, *([note] if note else [])]


def _write(run: Run, found: dict[str, Any], test: Predictions, images: np.ndarray | None, note: str) -> None:
    by_class = classification_table(found["test"])
    write_file(run.path / "metrics.json", json.dumps(found, indent=2, allow_nan=False) + "\n")
    write_file(run.path / "classification_report.csv", by_class.csv())
    write_file(run.path / "classification_report.txt", test.report())
    shown = stated_probabilities(test, found["test"])
    drawn = draw(found["test"], test, shown, images)
    for name, figure in drawn.items():
        figures.save(figure, run.path / "figures" / f"{name}.png")
    member, shifted = Member(run, test), shifts.read(run)
    page_tables = [
        by_class, calibration_table(found["test"]), errors_table(test, shown),
        comparison_tables.provenance([Group(member.name, (member,))]),
        *(shifts_tables.page_tables(shifted) if shifted else ()),
    ]  # fmt: skip
    pictures, left_out = explanations(run.path / "figures" / "explanations")
    curves = comparison_tables.curves(member)
    page.save(
        run.path / "report.html",
        "report.html",
        _data(member, found["test"], shown, curves, page_tables, shifted),
        title=member.name,
        kicker=f"{run.path}, evaluated on {len(test.labels):,} test images",
        warnings=[],
        tables={table.name: table for table in page_tables},
        opening=words.opening(member.name, found["test"]),
        cards=words.cards(run, found),
        pairs=[
            (words.pair(pair), _pair_pictures(images, test, shown, pair))
            for pair in found["test"]["confused_pairs"][:PAIRS]
        ],
        calibration=words.calibration(found["test"], run.score_type),
        calibrated=found["test"]["risk_coverage"] is not None,
        errors=_pictures(images, test, shown, worst_errors(test, shown)),
        label_lines=words.label_errors(found["test"]),
        suspects=_pictures(images, test, shown, suspects(test, found["test"])),
        curves=bool({"train/accuracy", "val/accuracy"} & curves.keys()),
        pictures_note=note,
        shifts=shifts_tables.words(shifted) if shifted else [],
        photographed=f"{shifted['photographs']['images']:,}" if shifted else "",
        explanations=pictures,
        explanations_note=left_out,
    )


def stated_probabilities(test: Predictions, found: dict[str, Any]) -> np.ndarray:
    """Return the probabilities that pages show, (N, C): temperature-scaled where a temperature was fitted."""
    return softmax(test.logits, found["temperature"] or 1.0)


def _data(
    member: Member,
    found: dict[str, Any],
    shown: np.ndarray,
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
    page_tables: Sequence[Table],
    shifted: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return what the page's script draws, and the rows of all tables."""
    colour = {member.name: charts.COLOURS[0]}
    drawn = {
        "classes": report_charts.class_scores(found["classes"]),
        "accuracy_curves": charts.learning_curves({member.name: curves}, "accuracy", colour),
        "loss_curves": charts.learning_curves({member.name: curves}, "loss", colour),
    }
    if found["risk_coverage"] is not None:
        confidence, right = calibration.confidences(shown, member.test.labels)
        drawn["reliability"] = report_charts.reliability(reliability_series(member.test, found))
        drawn["risk_coverage"] = report_charts.risk_coverage(calibration.risk_by_coverage(confidence, right))
    counts = {"rows": CLASSES, "columns": CLASSES, "values": found["confusion_matrix"], "unit": "images"}
    return {
        "charts": drawn,
        "matrices": {"confusion": counts} | ({"shifts": shifts_tables.heat(shifted)} if shifted else {}),
        "tables": {table.name: table.rows for table in page_tables},
        "figures": found,
    }


def reliability_series(test: Predictions, found: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """Return the reliability bins as stated and after temperature scaling, where there are such."""
    temperatures = {"as stated": 1.0 if found["raw"] else None, "temperature-scaled": found["temperature"]}
    return {
        name: calibration.reliability(
            *calibration.confidences(softmax(test.logits, temperature), test.labels)
        )
        for name, temperature in temperatures.items()
        if temperature is not None
    }


def draw(
    found: dict[str, Any], test: Predictions, shown: np.ndarray, images: np.ndarray | None
) -> dict[str, Any]:
    """Draw reliability, risk against coverage and the confused pairs, as far as there is what they need."""
    drawn: dict[str, Any] = {}
    if found["risk_coverage"] is not None:
        series = reliability_series(test, found)
        drawn["reliability"] = reliability_diagram(
            {name: (bins["confidence"], bins["accuracy"]) for name, bins in series.items()}
        )
        confidence, right = calibration.confidences(shown, test.labels)
        drawn["risk_coverage"] = risk_coverage(calibration.risk_by_coverage(confidence, right))
    if images is not None:
        pairs = found["confused_pairs"][:PAIRS]
        places = np.concatenate([_confused(test, shown, pair) for pair in pairs])
        predicted = test.logits.argmax(1)
        titles = [f"{CLASSES[test.labels[place]]} →\n{CLASSES[predicted[place]]}" for place in places]
        drawn["confused_pairs"] = figures.image_grid(
            images[test.indices[places]], titles, title="The most confused pairs (true → predicted)"
        )
    return drawn


def suspects(test: Predictions, found: dict[str, Any]) -> np.ndarray:
    """Return the places of the likeliest label errors."""
    place_of = {index: place for place, index in enumerate(test.indices.tolist())}
    return np.array([place_of[index] for index in (found["likely_label_errors"] or [])[:SUSPECTS]], int)


def _confused(test: Predictions, shown: np.ndarray, pair: dict[str, Any]) -> np.ndarray:
    """Return the places of a pair's most confident confusions, half of each direction where there are."""
    predicted = test.logits.argmax(1)
    places = []
    for true, said in ((pair["one"], pair["other"]), (pair["other"], pair["one"])):
        found = np.flatnonzero((test.labels == CLASSES.index(true)) & (predicted == CLASSES.index(said)))
        places.append(found[np.argsort(-shown[found].max(1), kind="stable")][: OF_PAIR // 2])
    return np.concatenate(places)


def _pair_pictures(
    images: np.ndarray | None, test: Predictions, shown: np.ndarray, pair: dict[str, Any]
) -> list[Picture]:
    return _pictures(images, test, shown, _confused(test, shown, pair))


def _pictures(
    images: np.ndarray | None, test: Predictions, shown: np.ndarray, places: np.ndarray
) -> list[Picture]:
    if images is None:
        return []
    predicted = test.logits.argmax(1)
    return [
        picture(
            images[test.indices[place]],
            CLASSES[test.labels[place]],
            f"→ {CLASSES[predicted[place]]} {words.share(shown[place].max())}",
            f"no. {test.indices[place]}",
        )
        for place in places
    ]
