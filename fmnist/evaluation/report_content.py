"""The sentences, key figures and tables of one run's page, each from the content of ``metrics.json``."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fmnist.core import tables
from fmnist.core.constants import CLASSES
from fmnist.core.metrics import METRICS, Metric
from fmnist.core.predictions import Predictions
from fmnist.core.statistics import most_confident
from fmnist.core.tables import Column, KeyFigure, Row, Table, counted, percent, rounded_down

ERRORS = 32  # shown at most

Summary = Mapping[str, Any]
"""What `fmnist.evaluation.summary.summarise` returns."""


def opening(name: str, summary: Summary) -> list[str]:
    """Return how good the model is, where it errs, and how good its confidence is."""
    accuracy, images = summary["accuracy"], summary["images"]
    pair = max(summary["confused_pairs"], key=lambda pair: pair["confused"])
    classes = sorted(summary["classes"].items(), key=lambda item: item[1]["f1"])
    (worst, worst_scores), (best, best_scores) = classes[0], classes[-1]
    errors = round((1 - accuracy["value"]) * images)
    sentences = [
        f"{name} gets {percent(accuracy['value'])} of {counted(images, 'test image')} right "
        f"(95 % interval {percent(accuracy['low'])} to {percent(accuracy['high'])}).",
        f"It is weakest on {worst} (F1 {worst_scores['f1']:.3f}) and best on {best} "
        f"({best_scores['f1']:.3f}).",
    ]
    if errors:
        whole = f"Of its {errors:,} errors, {pair['confused']:,}" if errors > 1 else "Its only error"
        verb = "confuses" if pair["confused"] == 1 else "confuse"
        sentences[-1] += f" {whole} {verb} {pair['one']} and {pair['other']}."
    if summary["risk_coverage"]:
        risk = summary["risk_coverage"]["risk_at_coverage"]["0.8"]
        sentences.append(
            f"On the 80 % of the images that it is most confident of, its error rate is {percent(risk)}."
        )
    return sentences


def key_figures(record: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[KeyFigure]:
    """Return the key figures of ``run.json`` and ``metrics.json``."""
    summary, speed = metrics["test"], metrics["speed"]
    found = []
    for metric in METRICS:
        if metric.key_figure and (value_and_detail := _value_and_detail(metric, summary)):
            found.append(KeyFigure(metric.heading, *value_and_detail))
    if record.get("parameters") is not None:
        adds = record.get("multiply_adds")
        detail = f"{adds / 1e6:,.2f} M multiply-adds an image" if adds else ""
        found.append(KeyFigure("parameters", f"{record['parameters']:,}", detail))
    if record.get("train_seconds") is not None:
        details = [counted(record["epochs"], "epoch")] if record.get("epochs") else []
        if cost := record.get("training_multiply_adds"):
            details.append(f"{cost / 1e12:,.3g} T multiply-adds")
        found.append(KeyFigure("training", tables.time_text(record["train_seconds"]), ", ".join(details)))
    if speed:
        threads, images = counted(speed["threads"], "thread"), counted(speed["images"], "image")
        detail = f"on the {speed['device'].upper()}, {threads}, {images} in a row"
        found.append(KeyFigure("time per image", f"{speed['ms_per_image']:.3f} ms", detail))
    return found


def _value_and_detail(metric: Metric, summary: Summary) -> tuple[str, str] | None:
    """Return the value and the detail of a key figure; None where the run does not have the metric."""
    if metric.takes == "probabilities":
        texts = [
            (metric.text(summary[part][metric.name]), name)
            for part, name in (("raw", "as stated"), ("scaled", "temperature-scaled"))
            if summary[part]
        ]
        return (texts[0][0], texts[0][1] if len(texts) == 1 else " ".join(texts[1])) if texts else None
    if summary[metric.name] is None:
        return None
    value, low, high = (metric.text(summary[metric.name][key]) for key in ("value", "low", "high"))
    return value, f"{low} to {high}"


def confusion_sentence(pair: Mapping[str, Any]) -> str:
    """Return how often two classes are confused with each other."""
    one, other = pair["one"], pair["other"]
    return (
        f"{one} and {other}: {pair['confused']:,} of {counted(pair['of'], 'image')} "
        f"{'is' if pair['confused'] == 1 else 'are'} confused, "
        f"{pair['one_as_other']:,} {one} as {other} and {pair['other_as_one']:,} {other} as {one}."
    )


def calibration_sentences(summary: Summary, score_type: str) -> list[str]:
    """Return how well the confidence agrees with the accuracy, before and after temperature scaling."""
    raw, scaled, accuracy, sentences = summary["raw"], summary["scaled"], summary["accuracy"]["value"], []
    if raw:
        gap = raw["mean_confidence"] - accuracy
        direction = "overconfident" if gap > 0 else "underconfident"
        sentences.append(
            f"Its mean confidence is {percent(raw['mean_confidence'])} and its accuracy "
            f"{percent(accuracy)}, so it is {direction} by {100 * abs(gap):.2f} points; "
            f"expected calibration error {raw['calibration_error']:.4f}."
        )
    else:
        sentences.append(
            f"Its outputs are {score_type}, not probabilities: log loss, Brier score and calibration exist "
            "only after temperature scaling."
        )
    if scaled:
        sentences.append(
            f"A temperature of {summary['temperature']:.3f}, fitted on validation, gives an expected "
            f"calibration error of {scaled['calibration_error']:.4f}, or "
            f"{scaled['debiased_calibration_error']:.4f} without the part that comes from the finite number "
            "of images; the accuracy does not change."
        )
    else:
        sentences.append("No temperature was fitted: no validation set.")
    if summary["calibration_error_by_chance"] is not None:
        sentences.append(
            "On as many images, a perfectly calibrated model with these confidences would show an error of "
            f"{summary['calibration_error_by_chance']:.4f} by chance."
        )
    return sentences


def label_error_sentence(summary: Summary) -> str:
    """Return how many labels are doubtful, and how they were found."""
    indices = summary["likely_label_errors"]
    if indices is None:
        return "Not searched for: this run states no probabilities."
    return (
        f"The model confidently puts {len(indices):,} of {summary['images']:,} test images into another "
        "class than their label: probably wrong labels, ambiguous garments, or confident errors of this "
        "model (confident learning, Northcutt et al., arXiv 1911.00068). All metrics include these images."
    )


def classification_table(summary: Summary) -> Table:
    """Return precision, recall, F1 and support by class, and their means."""
    classes: list[Row] = [{"class": name, **values} for name, values in summary["classes"].items()]
    support = np.array([row["support"] for row in classes])
    rows = [
        *classes,
        _means("macro average", classes, np.ones(len(classes)), int(support.sum())),
        _means("weighted average", classes, support, int(support.sum())),
    ]
    columns = [
        Column("class", "class"),
        Column("precision", "precision", "{:.4f}"),
        Column("recall", "recall", "{:.4f}"),
        Column("F1", "f1", "{:.4f}"),
        Column("images", "support", "{:,.0f}"),
    ]
    return Table("classification_report", "Precision, recall and F1 by class", columns, rows)


def _means(name: str, classes: Sequence[Row], weights: np.ndarray, images: int) -> Row:
    keys = ("precision", "recall", "f1")
    means = {key: float(np.average([row[key] for row in classes], weights=weights)) for key in keys}
    return {"class": name, **means, "support": images}


def calibration_table(summary: Summary) -> Table:
    """Return the metrics of probabilities before and after temperature scaling."""
    parts = {"as stated": summary["raw"], "temperature-scaled": summary["scaled"]}
    rows = [{"probabilities": name, **values} for name, values in parts.items() if values]
    columns = [
        Column("probabilities", "probabilities"),
        *(metric.column for metric in METRICS if metric.takes == "probabilities"),
    ]
    return Table("calibration", "Before and after temperature scaling", columns, rows)


def worst_errors(test: Predictions, probabilities: np.ndarray) -> np.ndarray:
    """Return the rows of the most confident errors, the most confident first."""
    wrong = np.flatnonzero(test.predicted != test.labels)
    return most_confident(wrong, probabilities.max(1), ERRORS)


def errors_table(test: Predictions, probabilities: np.ndarray, has_probabilities: bool) -> Table:
    """Return the most confident errors; what ranks them is shown where it is probabilities."""
    predicted = test.predicted
    rows = [
        {
            "index": int(test.indices[row]),
            "true": CLASSES[test.labels[row]],
            "predicted": CLASSES[predicted[row]],
            "probability": float(probabilities[row].max()),
            "probability_of_true": float(probabilities[row, test.labels[row]]),
        }
        for row in worst_errors(test, probabilities)
    ]
    columns = [
        Column("image", "index"),
        Column("true class", "true"),
        Column("predicted", "predicted"),
    ]
    if has_probabilities:
        columns += [
            Column("its probability", "probability", lambda row: rounded_down(row["probability"])),
            Column("of the true class", "probability_of_true", "{:.4f}"),
        ]
    return Table("worst_errors", "The most confident errors", columns, rows)
