"""What pages show of ``shifts.json``, for one run and for a comparison: tables, sentences and heat maps."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fmnist.core.errors import InputError, quoted
from fmnist.core.tables import Column, Row, Table, percent
from fmnist.robustness.backgrounds import BACKGROUNDS
from fmnist.robustness.corruptions import CORRUPTIONS, FAMILIES, FLIPS, SEVERITIES
from fmnist.robustness.rendered import NEGATIVE, PRODUCT

Shifts = Mapping[str, Any]
"""The content of a run's ``shifts.json``."""
PHOTOGRAPH_LABELS = {
    PRODUCT: "dark on light",
    NEGATIVE: "light on dark",
    **{background: f"in colour, {background}" for background in BACKGROUNDS},
}


def readable(name: str) -> str:
    """Return the name of a corruption or flip as people write it."""
    return name.replace("_", " ")


def run_tables(shifts: Shifts) -> list[Table]:
    """Return the tables of a run's page."""
    return [corruption_table(shifts), photograph_table(shifts), detection_table(shifts)]


def corruption_table(shifts: Shifts) -> Table:
    """Return the accuracy under each corruption: by severity, their mean, and what is lost."""
    clean = shifts["clean"]["accuracy"]
    severities = [str(severity) for severity in SEVERITIES]
    rows: list[Row] = []
    for name in (*CORRUPTIONS, *FLIPS):
        levels = shifts["corruptions"][name] if name in CORRUPTIONS else [shifts["flips"][name]]
        by_severity = dict.fromkeys(severities) | dict(zip(severities, levels, strict=False))
        mean = float(np.mean(levels))
        rows.append({"corruption": readable(name), **by_severity, "mean": mean, "lost": clean - mean})
    columns = [
        Column("corruption", "corruption"),
        *(Column(f"severity {severity}", severity, "{:.3f}") for severity in severities),
        Column("mean", "mean", "{:.3f}"),
        Column("lost", "lost", "{:.3f}", "compared with the same images uncorrupted"),
    ]
    return Table("shifts", "Accuracy on corrupted test images", columns, rows)


def photograph_table(shifts: Shifts) -> Table:
    """Return the accuracy on photographs, by their kind."""
    rows = [
        {"picture": PHOTOGRAPH_LABELS[kind], "polarity_right": None, **measured}
        for kind, measured in shifts["photographs"]["kinds"].items()
    ]
    columns = [
        Column("picture", "picture"),
        Column("accuracy", "accuracy", "{:.3f}"),
        Column("standard error", "standard_error", "{:.3f}"),
        Column(
            "of clean", "of_clean", lambda row: percent(row["of_clean"]), "of the accuracy on the same images"
        ),
        Column("polarity right", "polarity_right", lambda row: percent(row["polarity_right"])),
    ]
    return Table("photographs", "Accuracy on photographs of test images", columns, rows)


def detection_table(shifts: Shifts) -> Table:
    """Return how well each score tells OOD images from test images."""
    columns = [
        Column("OOD images", "outsiders"),
        Column("score", "score"),
        Column("AUROC", "auroc", "{:.4f}", "1 tells them apart without error, 0.5 not at all"),
        Column(
            "accepted", "fpr95", lambda row: percent(row["fpr95"]), "where 95 % of the garments are accepted"
        ),
    ]
    return Table("detection", "OOD images told from test images", columns, shifts["detection"])


def summary(shifts: Shifts) -> list[str]:
    """Return sentences on what is left of the accuracy."""
    clean, mean = shifts["clean"], shifts["mean_corruption_accuracy"]
    by_corruption = {name: float(np.mean(levels)) for name, levels in shifts["corruptions"].items()}
    worst = min(by_corruption, key=by_corruption.__getitem__)
    families = ", ".join(
        f"{percent(measured['accuracy'])} under {family}" for family, measured in shifts["families"].items()
    )
    product, cluttered = (
        percent(shifts["photographs"]["kinds"][kind]["of_clean"]) for kind in (PRODUCT, "cluttered")
    )
    return [
        f"Of {shifts['images']:,} test images it gets {percent(clean['accuracy'])} right as they are, and "
        f"{percent(mean['accuracy'])} (standard error {percent(mean['standard_error'])}) in the mean over "
        "the corruptions of Fashion-MNIST-C: a mean corruption error of "
        f"{percent(shifts['mean_corruption_error'])}.",
        f"By family of corruptions: {families}. The worst corruption is {readable(worst)} "
        f"({percent(by_corruption[worst])}). Flipped and turned, which training may have shown it, it gets "
        f"{percent(shifts['mean_flip_accuracy']['accuracy'])} right.",
        "Photographed dark on light, and prepared as predict.py does, its accuracy is "
        f"{product} of that on the images themselves; in colour on a cluttered background, {cluttered}.",
    ]


def heat_map(shifts: Shifts) -> dict[str, Any]:
    """Return the corruption table as the page's script draws it; a value is None where there is no level."""
    columns = [*map(str, SEVERITIES), "mean"]
    rows = corruption_table(shifts).rows
    return {
        "rows": [row["corruption"] for row in rows],
        "columns": columns,
        "values": [[row[column] for column in columns] for row in rows],
        "unit": "accuracy",
    }


def comparison_tables(
    by_model: Mapping[str, Shifts], reference: str | None = None, unmeasured: str = ""
) -> list[Table]:
    """Return a table of several models, the best first; none where no model was measured.

    Args:
        by_model: What was measured of each model.
        reference: The model whose errors count as 100 in the mean corruption error (mCE, arXiv 1903.12261,
            section 4.1), if any.
        unmeasured: The command that measures the other models, if there are any.

    Raises:
        InputError: The reference is none of the models.
    """
    if reference is not None and reference not in by_model:
        known = ", ".join(map(quoted, by_model)) or "there is none"
        raise InputError(
            f"--reference {quoted(reference)}: must be a model measured by evaluate.py --shifts: {known}"
            + (f"; to measure the others: {unmeasured}" if unmeasured else "")
        )
    if not by_model:
        return []
    rows = [
        _comparison_row(model, shifts, by_model[reference] if reference else None)
        for model, shifts in by_model.items()
    ]
    rows.sort(key=lambda row: -row["mean"])
    shown = ("clean", "mean", *FAMILIES, "flips", PRODUCT, "plain", "cluttered")
    notes = {
        "clean": "the same images as they are",
        "mean": "over the eleven corruptions, flips left out",
        "flips": "mirrored, upside down, quarter turns; training may flip",
        PRODUCT: "photographs, dark on light",
        "plain": "photographs in colour",
        "cluttered": "photographs in colour",
    }
    mce = Column("mCE", "mce", "{:.1f}", f"errors in % of those of {reference}, on the same images")
    columns = [
        Column("model", "model"),
        *(Column(key, key, "{:.3f}", notes.get(key, "")) for key in shown),
        *([mce] if reference else []),
        Column("images", "images", "{:,.0f}"),
    ]
    return [Table("shifts", "Accuracy on shifted test images", columns, rows)]


def _comparison_row(model: str, shifts: Shifts, reference: Shifts | None) -> Row:
    mean = shifts["mean_corruption_accuracy"]
    mce = None
    if reference is not None and reference["images"] == shifts["images"]:
        mce = relative_error(shifts, reference)
    return {
        "model": model,
        "clean": shifts["clean"]["accuracy"],
        "mean": mean["accuracy"],
        "standard_error": mean["standard_error"],
        **{family: measured["accuracy"] for family, measured in shifts["families"].items()},
        "flips": shifts["mean_flip_accuracy"]["accuracy"],
        **{kind: measured["accuracy"] for kind, measured in shifts["photographs"]["kinds"].items()},
        "mce": mce,
        "images": shifts["images"],
    }


def relative_error(shifts: Shifts, reference: Shifts) -> float:
    """Return the mean over corruptions of the error relative to another model's, in per cent."""
    ratios = [
        (1 - np.mean(levels)) / max(1 - np.mean(reference["corruptions"][name]), 1e-9)
        for name, levels in shifts["corruptions"].items()
    ]
    return 100 * float(np.mean(ratios))


def comparison_heat_map(by_model: Mapping[str, Shifts]) -> dict[str, Any]:
    """Return the means under each corruption and flip, by model, as the page's script draws them."""
    tables = [corruption_table(shifts).rows for shifts in by_model.values()]
    return {
        "rows": [row["corruption"] for row in tables[0]],
        "columns": list(by_model),
        "values": [[row["mean"] for row in rows] for rows in zip(*tables, strict=True)],
        "unit": "accuracy",
    }
