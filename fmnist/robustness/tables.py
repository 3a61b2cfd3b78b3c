"""Tables, words and heat maps of shifted test images, for one run's page and for a comparison."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fmnist.core import tables
from fmnist.core.errors import InputError
from fmnist.core.tables import Column, Row, Table, percent
from fmnist.robustness.corruptions import CORRUPTIONS, FLIPS, SEVERITIES
from fmnist.robustness.scenes import BACKGROUNDS

KINDS = {
    "product": "dark on light",
    "negative": "light on dark",
    **{name: f"in colour, {name}" for name in BACKGROUNDS},
}
Found = Mapping[str, Any]


def spoken(name: str) -> str:
    """Return a corruption's name as people write it."""
    return name.replace("_", " ")


def grid_table(found: Found) -> Table:
    """Return the accuracy under each corruption: by severity, their mean, and the loss."""
    clean = found["clean"]["accuracy"]
    levels = found["corruptions"] | {name: [value] for name, value in found["flips"].items()}
    rows: list[Row] = []
    for name in (*CORRUPTIONS, *FLIPS):
        values = levels[name]
        by_severity = dict.fromkeys(map(str, SEVERITIES)) | dict(
            zip(map(str, SEVERITIES), values, strict=False)
        )
        mean = float(np.mean(values))
        rows.append({"corruption": spoken(name), **by_severity, "mean": mean, "lost": clean - mean})
    columns = [
        Column("corruption", "corruption"),
        *(Column(f"severity {s}", str(s), tables.fixed(str(s), 3)) for s in SEVERITIES),
        Column("mean", "mean", tables.fixed("mean", 3)),
        Column("lost", "lost", tables.fixed("lost", 3), "to the same images uncorrupted"),
    ]
    return Table("shifts", "Accuracy on corrupted test images", columns, rows)


def photograph_table(found: Found) -> Table:
    """Return the accuracy on photographs, by what lies behind the garment."""
    rows = [
        {"picture": KINDS[kind], "polarity_right": None, **figures}
        for kind, figures in found["photographs"]["kinds"].items()
    ]
    columns = [
        Column("picture", "picture"),
        Column("accuracy", "accuracy", tables.fixed("accuracy", 3)),
        Column("standard error", "standard_error", tables.fixed("standard_error", 3)),
        Column(
            "of clean", "of_clean", lambda row: percent(row["of_clean"]), "of the accuracy on the same images"
        ),
        Column("polarity right", "polarity_right", lambda row: percent(row["polarity_right"])),
    ]
    return Table("photographs", "Accuracy on photographs of test images", columns, rows)


def page_tables(found: Found) -> list[Table]:
    """Return the tables of a run's page."""
    return [grid_table(found), photograph_table(found), detection_table(found)]


def detection_table(found: Found) -> Table:
    """Return how well images of something else are told from test images."""
    columns = [
        Column("images", "outsiders"),
        Column("score", "score"),
        Column("AUROC", "auroc", tables.fixed("auroc"), "1 tells them apart without error, 0.5 not at all"),
        Column(
            "accepted", "fpr95", lambda row: percent(row["fpr95"]), "where 95 % of the garments are accepted"
        ),
    ]
    return Table("detection", "Told from images of something else", columns, found["detection"])


def words(found: Found) -> list[str]:
    """Say what is left of the accuracy."""
    clean, mean = found["clean"], found["mean_corruption_accuracy"]
    kinds = found["photographs"]["kinds"]
    means = {name: float(np.mean(values)) for name, values in found["corruptions"].items()}
    worst = min(means, key=lambda name: means[name])
    families = ", ".join(
        f"{percent(values['accuracy'])} under {name}" for name, values in found["families"].items()
    )
    plain, cluttered = (percent(kinds[kind]["of_clean"]) for kind in ("product", "cluttered"))
    return [
        f"Of {found['images']:,} test images it gets {percent(clean['accuracy'])} right as they are, and "
        f"{percent(mean['accuracy'])} (standard error {percent(mean['standard_error'])}) in the mean over "
        "the corruptions of Fashion-MNIST-C: a mean corruption error of "
        f"{percent(found['mean_corruption_error'])}.",
        f"By family of corruptions: {families}. It suffers most from {spoken(worst)} "
        f"({percent(means[worst])}). Mirrored and turned, which training may have shown it, it gets "
        f"{percent(found['mean_flip_accuracy']['accuracy'])} right.",
        "Photographed dark on light, and prepared as predict.py does, its accuracy is "
        f"{plain} of that on the images themselves; in colour before clutter, {cluttered}.",
    ]


def heat(found: Found) -> dict[str, Any]:
    """Return the grid as the page's script draws it; None where a corruption has one level only."""
    table = grid_table(found)
    keys = [*map(str, SEVERITIES), "mean"]
    return {
        "rows": [row["corruption"] for row in table.rows],
        "columns": keys,
        "values": [[row[key] for key in keys] for row in table.rows],
        "unit": "accuracy",
    }


def comparison_tables(found: Mapping[str, Found], reference: str | None = None) -> list[Table]:
    """Return `comparison_table` where there is something to compare.

    Raises:
        InputError: The reference is none of the models.
    """
    if reference is not None and reference not in found:
        known = ", ".join(found) or "there is none"
        raise InputError(
            f"--reference {reference}: must be a model measured by evaluate.py --shifts: {known}"
        )
    return [comparison_table(found, reference)] if found else []


def comparison_table(found: Mapping[str, Found], reference: str | None = None) -> Table:
    """Return the means by family of corruptions of several models, the best first.

    Args:
        found: By model, what was measured of it.
        reference: The model whose errors count as 100 in the mCE (arXiv 1903.12261, section 4.1), if any.
    """
    rows = [_model(name, shifts, found.get(reference or "")) for name, shifts in found.items()]
    rows.sort(key=lambda row: -row["mean"])
    shown = ("clean", "mean", "noise", "blur", "geometry", "light", "flips", "product", "plain", "cluttered")
    notes = {
        "clean": "the same images as they are",
        "mean": "over the eleven corruptions, flips left out",
        "flips": "mirrored, upside down, quarter turns; training may flip",
        "product": "photographs, dark on light",
        "plain": "photographs in colour",
        "cluttered": "photographs in colour",
    }
    mce = Column("mCE", "mce", tables.fixed("mce", 1), f"errors relative to {reference}, per cent")
    columns = [
        Column("model", "model"),
        *(Column(key, key, tables.fixed(key, 3), notes.get(key, "")) for key in shown),
        *([mce] if reference else []),
        Column("images", "images", tables.grouped("images")),
    ]
    return Table("shifts", "Accuracy on shifted test images", columns, rows)


def _model(name: str, found: Found, reference: Found | None) -> Row:
    photographs = {kind: figures["accuracy"] for kind, figures in found["photographs"]["kinds"].items()}
    return {
        "model": name,
        "clean": found["clean"]["accuracy"],
        "mean": found["mean_corruption_accuracy"]["accuracy"],
        "standard_error": found["mean_corruption_accuracy"]["standard_error"],
        **{family: values["accuracy"] for family, values in found["families"].items()},
        "flips": found["mean_flip_accuracy"]["accuracy"],
        **photographs,
        "mce": relative_error(found, reference) if reference else None,
        "images": found["images"],
    }


def relative_error(found: Found, reference: Found) -> float:
    """Return the mean over corruptions of the error relative to another model's, in per cent."""
    return 100 * float(
        np.mean(
            [
                np.mean(1 - np.array(levels)) / max(1 - np.mean(reference["corruptions"][name]), 1e-9)
                for name, levels in found["corruptions"].items()
            ]
        )
    )


def comparison_heat(found: Mapping[str, Found]) -> dict[str, Any]:
    """Return the mean under each corruption and flip, a column a model, as the page's script draws it."""
    means: Sequence[dict[str, float]] = [
        {row["corruption"]: row["mean"] for row in grid_table(shifts).rows} for shifts in found.values()
    ]
    rows = list(means[0]) if means else []
    return {
        "rows": rows,
        "columns": list(found),
        "values": [[mean[row] for mean in means] for row in rows],
        "unit": "accuracy",
    }
