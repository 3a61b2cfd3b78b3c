"""The tables of a comparison, each from groups of runs."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fmnist.core import statistics, tables
from fmnist.core.constants import CLASSES
from fmnist.core.metrics import METRICS, Metric
from fmnist.core.statistics import mean_of, sd_of
from fmnist.core.tables import Column, Row, Table
from fmnist.evaluation import published
from fmnist.evaluation.groups import SeedGroup, is_of_part

LEVEL = 0.05
"""Level of significance of the tests."""


def comparable(groups: Sequence[SeedGroup]) -> list[SeedGroup]:
    """Return the groups with the same test images; of several sets, those of the most frequent one."""
    commonest = Counter(group.first_seed.test_set for group in groups).most_common(1)[0][0]
    return [group for group in groups if group.first_seed.test_set == commonest]


def results_table(groups: Sequence[SeedGroup]) -> Table:
    """Return the main table: metrics, size and cost, one row a model."""
    columns = [
        Column("model", "model"),
        Column("accuracy", "accuracy", _mean_and_sd, "mean ± standard deviation over seeds"),
        Column(
            "95 % interval",
            "accuracy_low",
            lambda row: f"{row['accuracy_low']:.4f}–{row['accuracy_high']:.4f}",
            "bootstrap over the test images",
        ),
        *(metric.column for metric in METRICS if metric.compared and metric.name != "accuracy"),
        Column("parameters", "parameters", "{:,.0f}"),
        Column(
            "multiply-adds",
            "multiply_adds",
            lambda row: f"{row['multiply_adds'] / 1e6:,.2f} M",
            "of one image",
        ),
        Column(
            "training cost",
            "training_multiply_adds",
            lambda row: f"{row['training_multiply_adds'] / 1e12:,.3g} T",
            "multiply-adds: three forward passes for each image",
        ),
        Column("training", "train_seconds", tables.duration("train_seconds"), "on the machine listed below"),
        Column("ms/image", "ms_per_image", "{:.3f}", "measured by scripts/evaluate.py"),
        Column("file", "size_bytes", tables.size("size_bytes"), "checkpoint, or fitted estimator"),
        Column("seeds", "seeds"),
    ]
    rows = [_result_row(group) for group in groups]
    return Table("results", "Test accuracy, size and cost of each model", columns, rows)


def _mean_and_sd(row: Row) -> str:
    sd = row["accuracy_sd"]
    return f"{row['accuracy']:.4f}" + (f" ± {sd:.4f}" if sd is not None else "")


def _result_row(group: SeedGroup) -> Row:
    results, first = group.results, group.first_seed
    accuracy = statistics.mean_share([result.right for result in results])
    accuracies = [result.right.mean() for result in results]
    times = [result.ms_per_image for result in results]
    return {
        "model": group.label,
        "family": first.family,
        "runs": len(results),
        "seeds": ", ".join(str(result.seed) for result in results),
        "accuracy": group.accuracy,
        "accuracy_sd": sd_of(accuracies),
        "accuracy_low": accuracy["low"],
        "accuracy_high": accuracy["high"],
        **{metric.name: _mean_of(metric, group) for metric in METRICS if metric.name != "accuracy"},
        "parameters": first.run.record.get("parameters"),
        "multiply_adds": first.run.record.get("multiply_adds"),
        "training_multiply_adds": mean_of(
            result.run.record.get("training_multiply_adds") for result in results
        ),
        "train_seconds": mean_of(result.run.record.get("train_seconds") for result in results),
        "ms_per_image": next((time for time in times if time is not None), None),
        "size_bytes": first.size_bytes,
    }


def _mean_of(metric: Metric, group: SeedGroup) -> float | None:
    """Return the mean of a metric over the seeds; None where the type of scores does not allow it."""
    if not metric.applies_to(group.first_seed.run.score_type):
        return None
    return mean_of(metric.value(result.test.logits, result.test.labels) for result in group.results)


def class_f1_table(groups: Sequence[SeedGroup]) -> Table:
    """Return F1 by class, the mean over the seeds; one row a model."""
    rows = []
    for group in groups:
        counts = np.stack(
            [statistics.confusion_counts(result.test.labels, result.predicted) for result in group.results]
        )
        f1 = statistics.class_scores(counts).f1.mean(0)
        rows.append({"model": group.label, **dict(zip(CLASSES, f1.tolist(), strict=True))})
    columns = [Column("model", "model"), *(Column(name, name, "{:.3f}") for name in CLASSES)]
    return Table("class_f1", "F1 by class", columns, rows)


def pairs_table(groups: Sequence[SeedGroup]) -> Table:
    """Return the comparison of every two models on the same images, the largest difference first."""
    pairs = statistics.paired_all({group.label: group.first_seed.right for group in groups})
    pairs.sort(key=lambda pair: -pair["difference"])
    columns = [
        Column("result", "sentence", long=True),
        Column("difference", "difference", lambda row: points(row["difference"]), "percentage points"),
        Column(
            "95 % interval",
            "low",
            lambda row: f"{points(row['low'])} to {points(row['high'])}",
            "paired bootstrap over the test images",
        ),
        Column("only first right", "only_first", "{:,.0f}"),
        Column("only second right", "only_second", "{:,.0f}"),
        Column(
            "p (Holm)", "p_holm", lambda row: p_text(row["p_holm"]).removeprefix("p = ").removeprefix("p ")
        ),
    ]
    rows = [{**pair, "sentence": pair_sentence(pair)} for pair in pairs]
    return Table("pairs", "Every two models on the same test images", columns, rows)


def pair_sentence(pair: Row) -> str:
    """Return the result of a paired comparison as a sentence."""
    numbers = (
        f"{points(pair['difference'])} points (95 % {points(pair['low'])} to {points(pair['high'])}), "
        f"{p_text(pair['p_holm'])}"
    )
    if pair["p_holm"] < LEVEL:
        return f"{pair['better']} is better than {pair['worse']}: {numbers}"
    return f"no significant difference between {pair['better']} and {pair['worse']}: {numbers}"


def points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    text = f"{100 * share:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text.replace("-", "−")


def p_text(p: float) -> str:
    """Return a p-value as journals print it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def gaps_table(groups: Sequence[SeedGroup]) -> Table:
    """Return training and validation accuracy of each model's first seed, after the best of its epochs."""
    columns = [
        Column("model", "model"),
        Column("epoch", "epoch", note="the best by validation accuracy at its end"),
        Column("training", "train", "{:.4f}", "on augmented images where there is augmentation"),
        Column("validation", "val", "{:.4f}"),
        Column("gap", "gap", lambda row: points(row["gap"]), "training less validation, percentage points"),
        Column("test", "test", "{:.4f}"),
    ]
    rows = [row for group in groups if (row := _gap_row(group)) is not None]
    return Table("gaps", "Training against validation accuracy, one seed", columns, rows)


def _gap_row(group: SeedGroup) -> Row | None:
    curves = group.first_seed.curves
    if not {"train/accuracy", "val/accuracy"} <= curves.keys():
        return None
    training = dict(zip(*curves["train/accuracy"], strict=True))
    epochs, validation = curves["val/accuracy"]
    best = int(np.argmax(validation))
    if epochs[best] not in training:
        return None
    train, val = float(training[epochs[best]]), float(validation[best])
    return {
        "model": group.label,
        "epoch": int(epochs[best]) + 1,
        "train": train,
        "val": val,
        "gap": train - val,
        "test": float(group.first_seed.right.mean()),
    }


def published_table(groups: Sequence[SeedGroup]) -> Table:
    """Return published accuracies beside ours, each once: beside the best of the groups of that name.

    Models that were trained on a part of the training images (``--data.train_size``) are left out.
    """
    rows: list[Row] = []
    listed: set[published.Published] = set()
    for group in groups:  # the best first
        theirs = published.find(group.first_seed.name)
        if theirs is None or theirs in listed or is_of_part(group.first_seed.run):
            continue
        listed.add(theirs)
        rows.append(
            {
                "model": group.label,
                "list": "reports" if theirs in published.REPORTS.values() else "records",
                "system": theirs.system,
                "source": theirs.source,
                "stated": theirs.stated,
                "published": theirs.accuracy,
                "ours": group.accuracy,
                "verdict": published.verdict(group.accuracy, theirs.accuracy),
            }
        )
    columns = [
        Column("model", "model"),
        Column("system", "system"),
        Column("source", "source"),
        Column("published", "stated"),
        Column("ours", "ours", "{:.4f}"),
        Column("verdict", "verdict"),
    ]
    return Table("published", "Published accuracies beside ours", columns, rows)
