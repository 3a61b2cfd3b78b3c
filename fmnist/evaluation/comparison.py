"""The page that compares several runs, with CSV and Markdown of its tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.core.commands import shell_command
from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError, quoted, reports_unwritable
from fmnist.core.files import write_file
from fmnist.core.statistics import confusion_counts, paired_classes
from fmnist.core.tables import Table, counted
from fmnist.evaluation import charts, page
from fmnist.evaluation.comparison_tables import (
    LEVEL,
    class_f1_table,
    comparable,
    gaps_table,
    p_text,
    pairs_table,
    points,
    published_table,
    results_table,
)
from fmnist.evaluation.groups import SeedGroup, collect, nothing_found
from fmnist.evaluation.published import table_key
from fmnist.evaluation.results import CONVOLUTIONAL, DENSE, runs_table
from fmnist.robustness import photograph_tables, shift_tables
from fmnist.robustness.real_photographs import read_photographs
from fmnist.robustness.shifts import read_shifts

ALL_WRONG, ONLY_RIGHT = 30, 12  # pictures shown at most
NAMED_PAIRS = (("cnn", "mlp"), ("published-lenet5", "published-mlp-classifier"))
"""Pairs of a convolutional and a fully connected model that the opening compares, where both are there."""


def write_comparison(
    paths: Sequence[str | Path],
    output: Path,
    root: str = "data",
    allow_mixed: bool = False,
    reference: str | None = None,
) -> tuple[dict[str, Table], list[str]]:
    """Compare models, or the seeds of one; write ``compare.html``, and CSV and Markdown of each table.

    Args:
        paths: What `fmnist.evaluation.groups.find_runs` takes.
        output: Folder of the files.
        root: Folder of the data set, for the pictures.
        allow_mixed: Compare runs on different data or splits, with a warning in the page.
        reference: The model whose errors on corrupted images count as 100 in the mCE.

    Returns:
        The tables by name, and lines on runs that were skipped and on what differs.

    Raises:
        InputError: There is nothing to compare, or the output cannot be written.
    """
    groups, skipped, warnings = collect(paths, allow_mixed)
    shared = comparable(groups)
    if len(shared) == 1 and len(shared[0].results) == 1:
        report = shell_command("evaluate", str(shared[0].first_seed.run.path))
        what = (
            "a comparison needs two models, or two seeds of one, on the same test images, found one run "
            f"({shared[0].label}); to report on it: {report}"
        )
        raise nothing_found(paths, what, skipped)
    if len(shared) < len(groups):
        left = ", ".join(group.label for group in groups if group not in shared)
        warnings = [*warnings, f"left out of pairs, images and agreement, for other test images: {left}"]
    shifted, unmeasured, damaged = _read_shifts(shared)
    photographs, damaged_photographs = _read_photographs(groups)
    skipped = [*skipped, *damaged, *damaged_photographs]
    photographs_tables = photograph_tables.comparison_tables(photographs)
    shift_matrices = {"shifts": shift_tables.comparison_heat_map(shifted)} if shifted else {}
    tables = {
        table.name: table
        for table in (
            results_table(groups),
            pairs_table(shared),
            gaps_table(groups),
            class_f1_table(groups),
            published_table(groups),
            runs_table((group.label, result) for group in groups for result in group.results),
            *shift_tables.comparison_tables(shifted, reference, unmeasured),
            *photographs_tables,
        )
    }
    with reports_unwritable(f"--output {quoted(output)}"):
        _remove_stale(output)
        for table in tables.values():
            table.save(output)
        html = page.render(
            "compare.html",
            {
                "charts": _charts(groups, tables),
                "matrices": {"agreement": _agreement(shared), **shift_matrices},
                "confusions": _confusions(groups),
                "tables": {name: table.rows for name, table in tables.items()},
            },
            tables=tables,
            photographs=photographs_tables,
            unmeasured=unmeasured,
            warnings=warnings,
            skipped=skipped,
            **_context(groups, shared, tables),
            **_pictures_context(shared, root),
        )
        write_file(output / "compare.html", html)
    return tables, skipped + warnings


def _remove_stale(output: Path) -> None:
    """Remove the tables of an earlier comparison that not every comparison has, each CSV and Markdown."""
    for path in (*output.glob("shifts.md"), *output.glob("photographs-*.md")):
        if (table := path.with_suffix(".csv")).exists():  # else it is somebody else's
            table.unlink()
            path.unlink()


def _read_shifts(groups: Sequence[SeedGroup]) -> tuple[dict[str, dict[str, Any]], str, list[str]]:
    """Return what was measured on shifted images, by the group's label.

    Of several seeds the first that was measured counts.

    Returns:
        Also the command that measures the other groups, if any, and lines on damaged files.
    """
    measured: dict[str, dict[str, Any]] = {}
    damaged = []
    for group in groups:
        for result in group.results:
            try:
                shifted = None if group.label in measured else read_shifts(result.run)
            except InputError as error:
                damaged.append(f"skipped {error}")
                continue
            if shifted:
                measured[group.label] = shifted
    without = [str(group.first_seed.run.path) for group in groups if group.label not in measured]
    command = shell_command("evaluate", *without, "--shifts") if without else ""
    return measured, command, damaged


def _read_photographs(groups: Sequence[SeedGroup]) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """Return what was measured on labelled photographs, of all seeds, by the group's label.

    Returns:
        Also lines on damaged files.
    """
    measured: dict[str, list[dict[str, Any]]] = {}
    lines = []
    for group in groups:
        for result in group.results:
            contents, damaged = read_photographs(result.run)
            measured.setdefault(group.label, []).extend(contents)
            lines += [f"skipped {line}" for line in damaged]
    return measured, lines


def _charts(groups: Sequence[SeedGroup], tables: Mapping[str, Table]) -> dict[str, charts.Chart]:
    rows = tables["results"].rows
    colour = charts.colours([row["model"] for row in rows])
    curves = {group.label: group.first_seed.curves for group in groups}
    return {
        "accuracies": charts.accuracies(rows, colour),
        "by_multiply_adds": charts.accuracy_by_cost(
            rows, "training_multiply_adds", "multiply-adds of the training", colour
        ),
        "by_time": charts.accuracy_by_cost(rows, "train_seconds", "training time, s", colour),
        "by_parameters": charts.accuracy_by_cost(rows, "parameters", "parameters", colour),
        "by_speed": charts.accuracy_by_cost(rows, "ms_per_image", "ms per image", colour),
        "accuracy_curves": charts.learning_curves(curves, "accuracy", colour),
        "loss_curves": charts.learning_curves(curves, "loss", colour),
        "gap_curves": charts.accuracy_gaps(curves, colour),
        "class_f1": charts.class_f1(tables["class_f1"].rows, colour),
    }


def _agreement(groups: Sequence[SeedGroup]) -> dict[str, Any]:
    """Return the matrix of the share of images that two models put into the same class."""
    labels = [group.label for group in groups]
    predicted = np.stack([group.first_seed.predicted for group in groups])
    shares = [(predicted == row).mean(1).tolist() for row in predicted]
    return {"rows": labels, "columns": labels, "values": shares, "unit": "share"}


def _confusions(groups: Sequence[SeedGroup]) -> dict[str, Any]:
    counts = {
        group.label: confusion_counts(group.first_seed.test.labels, group.first_seed.predicted).tolist()
        for group in groups
    }
    return {"classes": CLASSES, "counts": counts}


def _context(
    groups: Sequence[SeedGroup], shared: Sequence[SeedGroup], tables: Mapping[str, Table]
) -> dict[str, Any]:
    """Return the template's variables, except those of pictures."""
    questions = _questions(shared)
    several = [f"{group.label} seed {group.first_seed.seed}" for group in groups if len(group.results) > 1]
    pairs = len(tables["pairs"].rows)
    return {
        "title": f"{counted(len(groups), 'model')} on Fashion-MNIST",
        "kicker": f"Comparison of {counted(sum(len(group.results) for group in groups), 'run')} on "
        f"{counted(len(shared[0].first_seed.test.labels), 'test image')}",
        "opening": opening(shared, questions, tables),
        "first_seeds": f"of several seeds the lowest represents its model: {', '.join(several)}"
        if several
        else "each model is one run",
        "compared": len(shared) > 1,
        "classes": CLASSES,
        "models": [group.label for group in groups],
        "versus": [group.label for group in (questions[0] if questions else groups[:2])][::-1],
        "correction": f", corrected by Holm for all {pairs} pairs" if pairs > 1 else "",
    }


def _pictures_context(groups: Sequence[SeedGroup], root: str) -> dict[str, Any]:
    """Return what the template shows of images that all models get wrong, or that only one gets right."""
    first = groups[0].first_seed
    images, pictures_note = page.load_test_images(first.run, root)
    right = np.stack([group.first_seed.right for group in groups])  # (models, N)
    number_right = right.sum(0)
    all_wrong = np.flatnonzero(number_right == 0)
    only_right = {
        group.label: np.flatnonzero((number_right == 1) & row)
        for group, row in zip(groups, right, strict=True)
    }
    return {
        "pictures_note": pictures_note,
        "images": f"{len(first.test.labels):,}",
        "all_wrong": f"{len(all_wrong):,}",
        "all_wrong_pictures": _pictures(images, groups, all_wrong[:ALL_WRONG]),
        "only_right": [
            (label, f"{len(rows):,}", _pictures(images, groups, rows[:ONLY_RIGHT]))
            for label, rows in only_right.items()
            if len(rows)
        ],
    }


def _pictures(images: np.ndarray | None, groups: Sequence[SeedGroup], rows: np.ndarray) -> list[page.Picture]:
    """Embed test images, each with its label and the most frequent wrong prediction."""
    if images is None:
        return []
    test = groups[0].first_seed.test
    predicted = np.stack([group.first_seed.predicted for group in groups])
    pictures = []
    for row in rows:
        votes = np.bincount(predicted[:, row], minlength=len(CLASSES))
        votes[test.labels[row]] = 0
        wrong = f"{votes.max()} of {len(groups)} say {CLASSES[votes.argmax()]}"
        index = test.indices[row]
        pictures.append(page.embed_image(images[index], CLASSES[test.labels[row]], wrong, f"no. {index}"))
    return pictures


def _questions(groups: Sequence[SeedGroup]) -> list[tuple[SeedGroup, SeedGroup]]:
    """Return the pairs of a convolutional and a fully connected model that the opening compares."""
    by_name = {table_key(group.first_seed.name): group for group in reversed(groups)}  # of two, the better
    pairs = [(by_name[one], by_name[other]) for one, other in NAMED_PAIRS if {one, other} <= by_name.keys()]
    best: dict[str, SeedGroup] = {}
    for group in groups:  # the most accurate first
        best.setdefault(group.first_seed.family, group)
    if not pairs and {CONVOLUTIONAL, DENSE} <= best.keys():
        pairs = [(best[CONVOLUTIONAL], best[DENSE])]
    return pairs


def opening(
    groups: Sequence[SeedGroup],
    questions: Sequence[tuple[SeedGroup, SeedGroup]],
    tables: Mapping[str, Table],
) -> list[tuple[str, str]]:
    """Return the main results as paragraphs, each as its first sentence and the rest.

    The first ones say whether a convolutional model beats a fully connected one, as report C asks
    (`fmnist.evaluation.published`).
    """
    paragraphs = [answer(first, second, tables["pairs"]) for first, second in questions]
    best, pairs = groups[0], tables["pairs"].rows
    beaten = [pair for pair in pairs if pair["better"] == best.label and pair["p_holm"] < LEVEL]
    basis = ", by the first seeds" if any(len(group.results) > 1 for group in groups) else ""
    if len(groups) == 1:
        paragraphs.append(_seeds_of(best))
    elif len(groups) == 2:
        rest = f"It is {'' if beaten else 'not '}significantly better than {groups[1].label}{basis}."
        paragraphs.append((f"The more accurate model is {best.label}, with {best.accuracy:.4f}.", rest))
    else:
        rest = (
            f"It is significantly better than {len(beaten) or 'none'} of the {len(groups) - 1} others{basis}."
        )
        paragraphs.append((f"The most accurate model is {best.label}, with {best.accuracy:.4f}.", rest))
    lists = {"reports": "published {} of the three reports", "records": "best credible {} known"}
    for name, text in lists.items():
        rows = [row for row in tables["published"].rows if row["published"] and row["list"] == name]
        missed = [row for row in rows if row["verdict"] != "met"]
        named = "; ".join(f"{row['model']} {row['ours']:.4f}, {row['verdict']}" for row in missed)
        if rows:
            accuracies = counted(len(rows), text.format("accuracy"), text.format("accuracies"))
            head = f"Met: {len(rows) - len(missed)} of {accuracies}."
            paragraphs.append((head, f"Not met: {named}." if missed else ""))
    return paragraphs


def _seeds_of(group: SeedGroup) -> tuple[str, str]:
    """Return the accuracy of a model that is compared with no other: over its seeds, and of each."""
    accuracies = [result.right.mean() for result in group.results]
    each = ", ".join(
        f"seed {result.seed} {accuracy:.4f}"
        for result, accuracy in zip(group.results, accuracies, strict=True)
    )
    head = (
        f"{group.label} has a test accuracy of {group.accuracy:.4f} ± {np.std(accuracies, ddof=1):.4f} "
        f"over {counted(len(accuracies), 'seed')}."
    )
    return head, f"Mean and standard deviation of {each}."


def answer(first: SeedGroup, second: SeedGroup, pairs: Table) -> tuple[str, str]:
    """Return whether one model beats another, by how much, and on which classes."""
    one, other = first.first_seed, second.first_seed
    labels = {first.label, second.label}
    row = next(row for row in pairs.rows if {row["better"], row["worse"]} == labels)
    difference, low, high = row["difference"], row["low"], row["high"]
    if row["better"] != first.label:
        difference, low, high = -difference, -high, -low
    seeds = f"seed {one.seed} of both" if one.seed == other.seed else f"seeds {one.seed} and {other.seed}"
    shares = (
        f"{first.label} gets {100 * one.right.mean():.2f} % of the test images right and {second.label} "
        f"{100 * other.right.mean():.2f} % ({seeds}): {points(difference)} "
        f"points, 95 % {points(low)} to {points(high)}, {p_text(row['p_holm'])}."
    )
    verdict = "Yes:" if difference > 0 else "No:"
    if row["p_holm"] >= LEVEL:
        verdict = "The difference is not significant:"
    head = f"Does {first.label} beat {second.label}? {verdict}"
    return head, f"{shares} {class_sentence(first, second)}"


def class_sentence(first: SeedGroup, second: SeedGroup) -> str:
    """Return on which classes one model has the better recall, and on which the other."""
    labels = first.first_seed.test.labels
    classes = paired_classes(first.first_seed.right, second.first_seed.right, labels)
    significant = [row for row in classes if row["p_holm"] < LEVEL]
    significant.sort(key=lambda row: -abs(row["difference"]))
    parts = []
    for group, sign in ((first, 1), (second, -1)):
        won = [row for row in significant if sign * row["difference"] > 0]
        named = [f"{row['class']} ({points(sign * row['difference'])})" for row in won]
        if named:
            parts.append(f"{group.label} finds more of {', '.join(named)}")
    if not parts:
        return "On no single class is the difference significant."
    rest = len(classes) - len(significant)
    which = "class" if rest == 1 else f"{rest} classes"
    others = f"; on the other {which} the difference is not significant" if rest else ""
    return f"By class, in points of recall: {'; '.join(parts)}{others}."
