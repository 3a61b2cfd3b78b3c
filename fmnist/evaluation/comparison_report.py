"""The page that compares several runs, with CSV and Markdown of its tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.core.statistics import confusion_counts, paired, paired_classes
from fmnist.core.tables import Table
from fmnist.evaluation import charts, page
from fmnist.evaluation import comparison_tables as rows
from fmnist.evaluation.collection import CONVOLUTIONAL, DENSE, Group, collect
from fmnist.evaluation.comparison import (
    LEVEL,
    agreement,
    all_wrong,
    only_right,
    p_text,
    points,
)  # fmt: skip
from fmnist.evaluation.pictures import Picture, load_test_images, picture
from fmnist.evaluation.published import key as published_key
from fmnist.robustness import tables as shifts_tables
from fmnist.robustness.shifts import read_shifts

HARD, ALONE = 30, 12  # pictures at most
QUESTIONS = (("cnn", "mlp"), ("published-lenet5", "published-mlp-classifier"))
"""Pairs of a convolutional and a fully connected model to be named in the opening, if they are there."""


def write_comparison(
    paths: Sequence[str | Path],
    output: Path,
    root: str = "data",
    allow_mixed: bool = False,
    reference: str | None = None,
) -> tuple[dict[str, Table], list[str]]:
    """Compare runs; write ``compare.html``, and CSV and Markdown of each table.

    Args:
        paths: What `collection.find_runs` takes.
        output: Folder of the files.
        root: Where the data set is looked for, for the pictures.
        allow_mixed: Compare runs on different data or splits, with a warning in the page.
        reference: The model whose errors on corrupted images count as 100 in the mCE.

    Returns:
        The tables by name, and lines on runs that were passed over and on what differs.

    Raises:
        InputError: There is nothing to compare, or the output cannot be written.
    """
    groups, skipped, warnings = collect(paths, allow_mixed)
    shared = rows.comparable(groups)
    if len(shared) < 2:
        raise InputError(
            f"{' '.join(map(str, paths))}: a comparison needs two models on the same test images, found "
            f"{len(shared)} ({shared[0].label}); scripts/evaluate.py reports on one run"
        )
    shifted, unmeasured = shifts_of(shared)
    found = [
        rows.results(groups), rows.pairs(shared), rows.gaps(groups), rows.class_f1(groups),
        rows.published_figures(groups), rows.provenance(groups),
        *shifts_tables.comparison_tables(shifted, reference),
    ]  # fmt: skip
    by_name = {table.name: table for table in found}
    if len(shared) < len(groups):
        left = ", ".join(group.label for group in groups if group not in shared)
        warnings = [*warnings, f"left out of pairs, images and agreement, for other test images: {left}"]
    try:
        for table in found:
            table.save(output)
        page.save(
            output / "compare.html",
            "compare.html",
            _data(groups, shared, by_name, shifted),
            **_context(groups, shared, by_name, root),
            unmeasured=unmeasured,
            warnings=warnings,
            skipped=skipped,
        )
    except OSError as error:
        raise InputError(f"--output {output}: cannot be written ({error.strerror})") from None
    return by_name, skipped + warnings


def shifts_of(groups: Sequence[Group]) -> tuple[dict[str, dict[str, Any]], list[Path]]:
    """Return what was measured on shifted images, by the group's label, and runs of the groups without.

    Of several seeds the first that was measured counts.

    Raises:
        InputError: A file is damaged.
    """
    measured: dict[str, dict[str, Any]] = {}
    for group in groups:
        for member in group.members:
            if group.label not in measured and (shifted := read_shifts(member.run)):
                measured[group.label] = shifted
    return measured, [group.lead.run.path for group in groups if group.label not in measured]


def _data(
    groups: Sequence[Group],
    shared: Sequence[Group],
    found: dict[str, Table],
    shifted: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """Return what the page's script draws, and the rows of all tables."""
    results = found["results"].rows
    colour = charts.colours([row["model"] for row in results])
    curves = _curves(groups)
    labels = [group.label for group in shared]
    shares = agreement({group.label: group.lead.predicted for group in shared})
    return {
        "charts": {
            "accuracies": charts.accuracies(results, colour),
            "by_time": charts.accuracy_against(results, "train_seconds", "training time, s", colour),
            "by_parameters": charts.accuracy_against(results, "parameters", "parameters", colour),
            "by_speed": charts.accuracy_against(results, "ms_per_image", "ms per image", colour),
            "accuracy_curves": charts.learning_curves(curves, "accuracy", colour),
            "loss_curves": charts.learning_curves(curves, "loss", colour),
            "gap_curves": charts.gaps(curves, colour),
            "class_f1": charts.class_f1(found["class_f1"].rows, colour),
        },
        "matrices": {
            "agreement": {"rows": labels, "columns": labels, "values": shares.tolist(), "unit": "share"},
            **({"shifts": shifts_tables.comparison_heat_map(shifted)} if shifted else {}),
        },
        "confusions": {
            "classes": CLASSES,
            "counts": {
                group.label: confusion_counts(group.lead.test.labels, group.lead.predicted).tolist()
                for group in groups
            },
        },
        "tables": {name: table.rows for name, table in found.items()},
    }


def _curves(groups: Sequence[Group]) -> charts.Curves:
    return {group.label: curves for group in groups if (curves := rows.curves(group.lead))}


def _context(
    groups: Sequence[Group], shared: Sequence[Group], found: dict[str, Table], root: str
) -> dict[str, Any]:
    """Return what the template names."""
    models = [row["model"] for row in found["results"].rows]
    lead = shared[0].lead
    images, note = load_test_images(root, lead.run.record.get("data_sha256"))
    right = {group.label: group.lead.right for group in shared}
    wrong, alone = all_wrong(right), only_right(right)
    questions = _questions(shared)
    several = [group for group in groups if len(group.members) > 1]
    return {
        "title": f"{len(groups)} models on Fashion-MNIST",
        "kicker": f"Comparison of {sum(len(group.members) for group in groups)} runs on "
        f"{len(lead.test.labels):,} test images",
        "tables": found,
        "opening": opening(shared, questions, found),
        "leads": "of several seeds the lowest stands for its model: "
        + ", ".join(f"{group.label} seed {group.lead.seed}" for group in several)
        if several
        else "each model is one run",
        "curves": bool(_curves(groups)),
        "classes": CLASSES,
        "models": models,
        "versus": [group.label for group in questions[0]][::-1] if questions else models[1::-1],
        "pictures_note": note,
        "images": f"{len(lead.test.labels):,}",
        "all_wrong": f"{len(wrong):,}",
        "hard": _pictures(images, shared, wrong[:HARD]),
        "alone": [
            (name, f"{len(places):,}", _pictures(images, shared, places[:ALONE]))
            for name, places in alone.items()
            if len(places)
        ],
    }


def _pictures(images: np.ndarray | None, groups: Sequence[Group], places: np.ndarray) -> list[Picture]:
    """Embed test images, each with its label and what most models take it for."""
    if images is None:
        return []
    test = groups[0].lead.test
    answers = np.stack([group.lead.predicted for group in groups])
    found = []
    for place in places:
        votes = np.bincount(answers[:, place], minlength=len(CLASSES))
        votes[test.labels[place]] = 0
        index = test.indices[place]
        said = f"{votes.max()} of {len(groups)}: {CLASSES[votes.argmax()]}"
        found.append(picture(images[index], CLASSES[test.labels[place]], said, f"no. {index}"))
    return found


def _questions(groups: Sequence[Group]) -> list[tuple[Group, Group]]:
    """Return the pairs of a convolutional and a fully connected model that the opening speaks of."""
    by_name = {published_key(group.lead.name): group for group in reversed(groups)}  # of two, the better
    pairs = [(by_name[one], by_name[other]) for one, other in QUESTIONS if {one, other} <= by_name.keys()]
    families = {group.lead.family for group in groups}
    if not pairs and {CONVOLUTIONAL, DENSE} <= families:
        pairs = [(_best(groups, CONVOLUTIONAL), _best(groups, DENSE))]
    return pairs


def _best(groups: Sequence[Group], family: str) -> Group:
    return max((group for group in groups if group.lead.family == family), key=lambda group: group.accuracy)


def opening(
    groups: Sequence[Group], questions: Sequence[tuple[Group, Group]], found: dict[str, Table]
) -> list[tuple[str, str]]:
    """Say in plain words what the comparison has found, each paragraph as its head and the rest.

    It begins with the question of report C: does the CNN beat the MLP, by how much, on which classes.
    """
    paragraphs = [answer(first, second, found["pairs"]) for first, second in questions]
    best = groups[0]
    beaten = [row for row in found["pairs"].rows if row["better"] == best.label and row["p_holm"] < LEVEL]
    rest = f"It can be shown to be better than {len(beaten)} of the {len(groups) - 1} others."
    paragraphs.append((f"The most accurate model is {best.label}, with {best.accuracy:.4f}.", rest))
    said = {"reports": "figures of the three reports", "records": "best credible figures known"}
    for name, what in said.items():
        rows = [row for row in found["published"].rows if row["published"] and row["list"] == name]
        missed = [row for row in rows if row["verdict"] != "met"]
        named = "; ".join(f"{row['model']} {row['ours']:.4f}, {row['verdict']}" for row in missed)
        if rows:
            head = f"Of {len(rows)} {what}, {len(rows) - len(missed)} are met."
            paragraphs.append((head, f"Not met: {named}." if missed else ""))
    return paragraphs


def answer(first: Group, second: Group, pairs: Table) -> tuple[str, str]:
    """Say whether one model beats another, by how much, and on which classes."""
    one, other = first.lead, second.lead
    pair = next(row for row in pairs.rows if {row["better"], row["worse"]} == {first.label, second.label})
    found = paired(one.right, other.right)
    seeds = f"seed {one.seed} of both" if one.seed == other.seed else f"seeds {one.seed} and {other.seed}"
    shares = (
        f"{first.label} gets {100 * one.right.mean():.2f} % of the test images right and {second.label} "
        f"{100 * other.right.mean():.2f} % ({seeds}): {points(found.difference)} "
        f"points, 95 % {points(found.low)} to {points(found.high)}, {p_text(pair['p_holm'])}."
    )
    verdict = "Yes:" if found.difference > 0 else "No:"
    if pair["p_holm"] >= LEVEL:
        verdict = "It cannot be shown:"
    return f"Does {first.label} beat {second.label}? {verdict}", f"{shares} {by_class(first, second)}"


def by_class(first: Group, second: Group) -> str:
    """Say on which classes one model has the better recall, and on which the other."""
    found = paired_classes(first.lead.right, second.lead.right, first.lead.test.labels)
    real = sorted((row for row in found if row["p_holm"] < LEVEL), key=lambda row: -abs(row["difference"]))
    parts = []
    for group, sign in ((first, 1), (second, -1)):
        won = [row for row in real if sign * row["difference"] > 0]
        named = [f"{row['class']} ({points(sign * row['difference'])})" for row in won]
        if named:
            parts.append(f"{group.label} finds more of {', '.join(named)}")
    if not parts:
        return "On no single class can a difference be shown."
    rest = len(found) - len(real)
    others = f"; on the other {rest} no difference can be shown" if rest else ""
    return f"By class, in points of recall: {'; '.join(parts)}{others}."
