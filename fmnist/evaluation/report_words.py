"""The sentences and headline figures of one run's page."""

import math
from typing import Any

from fmnist.core import tables
from fmnist.core.runs import Run
from fmnist.core.tables import percent


def opening(name: str, found: dict[str, Any]) -> list[str]:
    """Say in plain words how good the model is, where it errs, and what its confidence is worth."""
    accuracy, pair = found["accuracy"], max(found["confused_pairs"], key=lambda pair: pair["confused"])
    classes = sorted(found["classes"].items(), key=lambda item: item[1]["f1"])
    errors = round((1 - accuracy["value"]) * found["images"])
    lines = [
        f"{name} gets {percent(accuracy['value'])} of {found['images']:,} test images right "
        f"(95 % interval {percent(accuracy['low'])} to {percent(accuracy['high'])}).",
        f"It is weakest on {classes[0][0]} (F1 {classes[0][1]['f1']:.3f}) and best on {classes[-1][0]} "
        f"({classes[-1][1]['f1']:.3f}).",
    ]
    if errors:
        lines[-1] += (
            f" Of its {errors:,} errors, {pair['confused']:,} take {pair['one']} and {pair['other']} "
            f"for each other."
        )
    if found["risk_coverage"]:
        risk = found["risk_coverage"]["risk_at_coverage"]
        lines.append(
            f"Answering only the 80 % of the images of which it is surest, it errs on {percent(risk['0.8'])}."
        )
    return lines


def cards(run: Run, found: dict[str, Any]) -> list[dict[str, str]]:
    """Return the headline figures, each with a heading, its value and a detail."""
    test, record = found["test"], run.record
    scored = [("as stated", test["raw"]), ("temperature-scaled", test["scaled"])]
    named = (("accuracy", "accuracy"), ("balanced accuracy", "balanced_accuracy"),
             ("macro F1", "macro_f1"), ("top-2 accuracy", "top2_accuracy"))  # fmt: skip
    made = [
        {
            "heading": heading,
            "value": f"{test[key]['value']:.4f}",
            "detail": f"{test[key]['low']:.4f} to {test[key]['high']:.4f}",
        }
        for heading, key in named
        if test[key]
    ]
    for heading, key in (
        ("log loss", "log_loss"),
        ("Brier score", "brier_score"),
        ("calibration error", "calibration_error"),
    ):
        values = [(said, figures[key]) for said, figures in scored if figures]
        if values:
            detail = f"{values[1][1]:.4f} {values[1][0]}" if len(values) > 1 else values[0][0]
            made.append({"heading": heading, "value": f"{values[0][1]:.4f}", "detail": detail})
    if record.get("parameters") is not None:
        adds = record.get("multiply_adds")
        detail = f"{adds / 1e6:,.2f} M multiply-adds an image" if adds else ""
        made.append({"heading": "parameters", "value": f"{record['parameters']:,}", "detail": detail})
    if record.get("train_seconds") is not None:
        epochs = f"{record['epochs']} epochs" if record.get("epochs") else ""
        value = tables.duration("train_seconds")(record)
        made.append({"heading": "training", "value": value, "detail": epochs})
    if found["speed"]:
        speed = found["speed"]
        threads = f"{speed['threads']} thread{'s' if speed['threads'] > 1 else ''}"
        detail = f"on the {speed['device'].upper()}, {threads}, {speed['images']:,} images in a row"
        made.append(
            {"heading": "time per image", "value": f"{speed['ms_per_image']:.3f} ms", "detail": detail}
        )
    return made


def pair(found: dict[str, Any]) -> str:
    """Say how often two classes are taken for each other."""
    one, other = found["one"], found["other"]
    return (
        f"{one} and {other}: {found['confused']:,} of {found['of']:,} images are taken for the other, "
        f"{found['one_as_other']:,} {one} for {other} and {found['other_as_one']:,} {other} for {one}."
    )


def calibration(found: dict[str, Any], scores: str) -> list[str]:
    """Say what the model's probabilities are worth, before and after temperature scaling."""
    raw, scaled, lines = found["raw"], found["scaled"], []
    if raw:
        gap = raw["mean_confidence"] - found["accuracy"]["value"]
        manner = "overconfident" if gap > 0 else "underconfident"
        lines.append(
            f"Its mean confidence is {percent(raw['mean_confidence'])} and its accuracy "
            f"{percent(found['accuracy']['value'])}, so it is {manner} by {100 * abs(gap):.2f} points; "
            f"expected calibration error {raw['calibration_error']:.4f}."
        )
    else:
        lines.append(
            f"Its outputs are {scores}, not probabilities: log loss, Brier score and calibration exist only "
            "after temperature scaling."
        )
    if scaled:
        lines.append(
            f"A temperature of {found['temperature']:.3f}, fitted on validation, gives an expected "
            f"calibration error of {scaled['calibration_error']:.4f}; the accuracy does not change."
        )
    else:
        lines.append("No temperature was fitted: no validation set.")
    if found["calibration_error_by_chance"] is not None:
        lines.append(
            "A perfectly calibrated model of these confidences would show an error of "
            f"{found['calibration_error_by_chance']:.4f} by chance, on as many images."
        )
    return lines


def label_errors(found: dict[str, Any]) -> list[str]:
    """Say how many labels are doubtful, and how that was found."""
    places = found["likely_label_errors"]
    if places is None:
        return ["Not looked for: this run states no probabilities."]
    return [
        f"{len(places):,} of {found['images']:,} test images are confidently another class than their label: "
        "probably wrong labels, ambiguous garments, or confident errors of this model (confident learning, "
        "Northcutt et al., arXiv 1911.00068). The doubtful labels stay in all figures."
    ]


def share(probability: float) -> str:
    """Return a probability rounded down: 0.998 is not certainty, and must not read as 1.00."""
    return f"{math.floor(probability * 1000) / 1000:.3f}"
