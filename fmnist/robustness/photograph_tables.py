"""What pages and the terminal show of labelled photographs, for one run and for a comparison."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fmnist.core.statistics import mean_of, sd_of
from fmnist.core.tables import Column, KeyFigure, Row, Table, counted, percent
from fmnist.robustness.labelled_answers import PREDICTIONS

Measured = Mapping[str, Any]
"""The content of a run's ``photographs/NAME.json``."""
OVERALL = {"known": "all known", "foreign": "all foreign"}


def run_tables(measured: Measured) -> list[Table]:
    """Return the tables of a run's page."""
    return [folder_table(measured), reason_table(measured)]


def folder_table(measured: Measured) -> Table:
    """Return accuracy and refusals by subfolder, and over all known and all foreign garments."""
    rows = [_folder_row(row["folder"], row["classes"], row) for row in measured["folders"]]
    rows += [_folder_row(name, None, measured[kind]) for kind, name in OVERALL.items()]
    columns = [
        Column("subfolder", "folder"),
        Column("right classes", "classes"),
        Column("photographs", "photographs"),
        Column("accuracy", "accuracy", _percent("accuracy"), "no answer counts as wrong"),
        Column("95 % interval", "accuracy_low", _interval, "by Wilson (1927)"),
        Column("refused", "refused", _percent("refused"), "unsure, or without an answer"),
        Column("right where sure", "sure_accuracy", _percent("sure_accuracy")),
        Column("no answer", "unanswered", note="nothing found, or not readable"),
    ]
    name = measured["name"]
    shown = [row for row in rows if row["photographs"]]
    return Table(f"photographs-{name}", f"Labelled photographs: {name}", columns, shown)


def _folder_row(name: str, classes: Sequence[str] | None, figures: Mapping[str, Any]) -> Row:
    values = {key: figures[key] and figures[key]["value"] for key in ("accuracy", "refused", "sure_accuracy")}
    ends = {f"accuracy_{end}": figures["accuracy"] and figures["accuracy"][end] for end in ("low", "high")}
    return {
        "folder": name,
        "classes": None if classes is None else ", ".join(classes) or "foreign",
        **values,
        **ends,
        "photographs": figures["photographs"],
        "unanswered": figures["unanswered"],
    }


def _percent(key: str) -> Callable[[Row], str]:
    return lambda row: _short(row[key])


def _short(share: float) -> str:
    """Return a share in per cent, as exactly as some hundred photographs allow."""
    return percent(share, 1)


def _interval(row: Row) -> str:
    return f"{100 * row['accuracy_low']:.1f} to {100 * row['accuracy_high']:.1f} %"


def reason_table(measured: Measured) -> Table:
    """Return how many photographs each reason refuses."""
    columns = [Column("reason", "reason"), Column("known", "known"), Column("foreign", "foreign")]
    return Table(f"reasons-{measured['name']}", "Why answers are refused", columns, measured["reasons"])


def confusion(measured: Measured) -> dict[str, Any]:
    """Return the confusion matrix as the page's script draws it."""
    return {
        "rows": [row["folder"] for row in measured["folders"]],
        "columns": list(PREDICTIONS),
        "values": measured["confusion"],
        "right": [[name in row["classes"] for name in PREDICTIONS] for row in measured["folders"]],
        "unit": "images",
    }


def key_figures(measured: Measured) -> list[KeyFigure]:
    """Return the key figures."""
    known, foreign = measured["known"], measured["foreign"]
    probability, distance = (measured["foreign_detection"][name] for name in ("probability", "distance"))
    contents = [
        ("accuracy", known["accuracy"], f"of {known['photographs']:,} known garments"),
        ("known refused", known["refused"], "unsure, or without an answer"),
        ("right where sure", known["sure_accuracy"], "of known garments"),
        ("foreign refused", foreign["refused"], f"of {foreign['photographs']:,} foreign garments"),
    ]
    result = [
        KeyFigure(
            heading,
            _short(share["value"]),
            f"{detail}; {100 * share['low']:.1f} to {100 * share['high']:.1f} %",
        )
        for heading, share, detail in contents
        if share
    ]
    if probability:
        detail = "by probability" + (f"; {distance['auroc']:.3f} by distance" if distance else "")
        result.append(KeyFigure("AUROC of foreign", f"{probability['auroc']:.3f}", detail))
    return result


def summary(measured: Measured) -> list[str]:
    """Return sentences on accuracy, refusals and what was left out."""
    known, foreign, detection = measured["known"], measured["foreign"], measured["foreign_detection"]
    lines = []
    if known["photographs"]:
        accuracy, sure = known["accuracy"], known["sure_accuracy"]
        lines.append(
            f"Of {counted(known['photographs'], 'photograph')} of known garments it gets "
            f"{_short(accuracy['value'])} right (95 % interval {100 * accuracy['low']:.1f} to "
            f"{100 * accuracy['high']:.1f} %). It refuses {_short(known['refused']['value'])}"
            + (f"; of the others it gets {_short(sure['value'])} right." if sure else ".")
        )
        risk = measured["risk_coverage"]
        lines.append(
            "Ordered by probability, whether refused or not, the most probable half has an error rate of "
            f"{_short(risk['risk_at_coverage']['0.5'])}; the area under the risk-coverage curve is "
            f"{risk['area']:.3f}."
        )
    if foreign["photographs"]:
        lines.append(
            f"Of {counted(foreign['photographs'], 'photograph')} of foreign garments it refuses "
            f"{_short(foreign['refused']['value'])}."
        )
    aurocs = [f"{value['auroc']:.3f} by {name}" for name, value in detection.items() if value]
    if aurocs:
        lines[-1] += f" Foreign garments are told from known ones with an AUROC of {', '.join(aurocs)}."
    missing = measured["without_answer"]
    if missing:
        named = ", ".join(f"{row['file']} ({row['reason']})" for row in missing[:3])
        more = f", and {len(missing) - 3:,} more" if len(missing) > 3 else ""
        lines.append(f"Without an answer: {counted(len(missing), 'photograph')}: {named}{more}.")
    return lines


def comparison_tables(by_model: Mapping[str, Sequence[Measured]]) -> list[Table]:
    """Return a table of several models for each set of photographs, the best first.

    Args:
        by_model: What was measured of each model, of all its seeds. Values are means over the seeds.
    """
    sets: dict[tuple[Any, ...], dict[str, list[Measured]]] = {}
    for model, contents in by_model.items():
        for measured in contents:
            answers = tuple((row["folder"], *row["classes"]) for row in measured["folders"])
            by_set = sets.setdefault((measured["name"], measured["sha256"], answers), {})
            by_set.setdefault(model, []).append(measured)
    names = [name for name, _, _ in sets]

    def label(key: tuple[Any, ...]) -> str:
        name, digest, _ = key
        alike = sorted(other for other in sets if other[:2] == key[:2])  # with other right classes
        number = f"-{alike.index(key) + 1}" if len(alike) > 1 else ""
        return name if names.count(name) == 1 else f"{name}-{digest[:8]}{number}"

    return [_comparison_table(label(key), models) for key, models in sorted(sets.items())]


def _comparison_table(name: str, models: Mapping[str, Sequence[Measured]]) -> Table:
    rows = [_comparison_row(model, contents) for model, contents in models.items()]
    rows.sort(key=lambda row: -(row["accuracy"] or 0))
    first = next(iter(models.values()))[0]
    columns = [
        Column("model", "model"),
        Column(
            "accuracy", "accuracy", _mean_and_sd, "of known garments; mean ± standard deviation over seeds"
        ),
        *(
            Column(
                row["folder"],
                key := f"folder {row['folder']}",
                _percent(key),
                "accuracy" if row["classes"] else "foreign: refused",
            )
            for row in first["folders"]
        ),
        Column("known refused", "refused", _percent("refused"), "unsure, or without an answer"),
        Column("right where sure", "sure_accuracy", _percent("sure_accuracy")),
        Column("foreign refused", "foreign_refused", _percent("foreign_refused")),
        Column("AUROC", "auroc", "{:.3f}", "of foreign garments, by probability"),
        Column("seeds", "seeds"),
    ]
    known, foreign = first["known"]["photographs"], first["foreign"]["photographs"]
    title = f"Photographs {name}: {known:,} of known garments, {foreign:,} of foreign ones"
    return Table(f"photographs-{name}", title, columns, rows)


def _mean_and_sd(row: Row) -> str:
    sd = row["accuracy_sd"]
    return _short(row["accuracy"]) + (f" ± {100 * sd:.1f}" if sd is not None else "")


def _comparison_row(model: str, contents: Sequence[Measured]) -> Row:
    def share(figures: Sequence[Mapping[str, Any]], key: str) -> float | None:
        return mean_of([each[key] and each[key]["value"] for each in figures])

    known = [measured["known"] for measured in contents]
    accuracies = [each["accuracy"]["value"] for each in known if each["accuracy"]]
    by_folder = zip(*(measured["folders"] for measured in contents), strict=True)
    detections = [measured["foreign_detection"]["probability"] for measured in contents]
    return {
        "model": model,
        "accuracy": mean_of(accuracies),
        "accuracy_sd": sd_of(accuracies),
        **{
            f"folder {rows[0]['folder']}": share(rows, "accuracy" if rows[0]["classes"] else "refused")
            for rows in by_folder
        },
        "refused": share(known, "refused"),
        "sure_accuracy": share(known, "sure_accuracy"),
        "foreign_refused": share([measured["foreign"] for measured in contents], "refused"),
        "auroc": mean_of([detection and detection["auroc"] for detection in detections]),
        "seeds": len(contents),
    }
