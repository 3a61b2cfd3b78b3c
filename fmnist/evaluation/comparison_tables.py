"""The tables of a comparison, from groups of runs."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from fmnist.core import statistics, tables
from fmnist.core.constants import CLASSES
from fmnist.core.statistics import softmax
from fmnist.core.tables import Column, Row, Table
from fmnist.evaluation import metrics, published
from fmnist.evaluation.collection import Group, Member
from fmnist.evaluation.comparison import p_text, points, sentence


def results(groups: Sequence[Group]) -> Table:
    """Return the main table."""
    rows = list(map(_result, groups))
    columns = [
        Column("model", "model"),
        Column("accuracy", "accuracy", _mean_and_sd, "mean ± standard deviation over seeds"),
        Column(
            "95 % interval",
            "accuracy_low",
            lambda row: f"{row['accuracy_low']:.4f}–{row['accuracy_high']:.4f}",
            "bootstrap over the test images",
        ),
        Column("macro F1", "macro_f1", tables.fixed("macro_f1")),
        Column("top 2", "top2_accuracy", tables.fixed("top2_accuracy"), "label among the two best scores"),
        Column("log loss", "log_loss", tables.fixed("log_loss", 3), "nats, as the model says it"),
        Column(
            "ECE", "calibration_error", tables.fixed("calibration_error", 3), "expected calibration error"
        ),
        Column("parameters", "parameters", tables.grouped("parameters")),
        Column(
            "multiply-adds",
            "multiply_adds",
            lambda row: f"{row['multiply_adds'] / 1e6:,.2f} M",
            "of one image",
        ),
        Column("training", "train_seconds", tables.duration("train_seconds"), "on the machine listed below"),
        Column("ms/image", "ms_per_image", tables.fixed("ms_per_image", 3), "by scripts/evaluate.py"),
        Column("file", "size_bytes", tables.size("size_bytes"), "checkpoint, or fitted estimator"),
        Column("seeds", "seeds"),
    ]
    return Table("results", "Test accuracy, size and cost of each model", columns, rows)


def _mean_and_sd(row: Row) -> str:
    sd = row["accuracy_sd"]
    return f"{row['accuracy']:.4f}" + (f" ± {sd:.4f}" if sd is not None else "")


def _result(group: Group) -> Row:
    tests = [member.test for member in group.members]
    accuracies = [float(member.right.mean()) for member in group.members]
    accuracy = statistics.mean_share([member.right for member in group.members])
    counts = [statistics.confusion_counts(member.test.labels, member.predicted) for member in group.members]
    scores = group.lead.run.score_type
    stated = tests if scores in metrics.PROBABILISTIC else []
    figures = [metrics.probability_scores(softmax(test.logits), test.labels) for test in stated]
    ranked = tests if scores != metrics.DECISIONS else []
    record = group.lead.run.record
    return {
        "model": group.label,
        "family": group.lead.family,
        "runs": len(tests),
        "seeds": ", ".join(str(member.seed) for member in group.members),
        "accuracy": accuracy["value"],
        "accuracy_sd": float(np.std(accuracies, ddof=1)) if len(tests) > 1 else None,
        "accuracy_low": accuracy["low"],
        "accuracy_high": accuracy["high"],
        "macro_f1": float(np.mean([statistics.macro_f1(matrix) for matrix in counts])),
        "top2_accuracy": _mean(
            [float(statistics.in_top(test.logits, test.labels).mean()) for test in ranked]
        ),
        "log_loss": _mean([figure["log_loss"] for figure in figures]),
        "calibration_error": _mean([figure["calibration_error"] for figure in figures]),
        "parameters": record.get("parameters"),
        "multiply_adds": record.get("multiply_adds"),
        "train_seconds": _mean([member.run.record.get("train_seconds") for member in group.members]),
        "ms_per_image": _ms_per_image(group),
        "size_bytes": _size(group.lead),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _ms_per_image(group: Group) -> float | None:
    """Return what evaluate.py measured of one of the runs."""
    for member in group.members:
        try:
            found = json.loads((member.run.path / "metrics.json").read_bytes())["speed"]["ms_per_image"]
            return float(found)
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _size(member: Member) -> int | None:
    """Return the bytes of what a run keeps of its model: recorded, or those of the checkpoint."""
    path = member.run.path / "checkpoints" / "best.ckpt"
    return member.run.record.get("size_bytes") or (path.stat().st_size if path.is_file() else None)


def class_f1(groups: Sequence[Group]) -> Table:
    """Return F1 by class, the mean over the seeds; one row a model."""
    rows = []
    for group in groups:
        counts = [
            statistics.confusion_counts(member.test.labels, member.predicted) for member in group.members
        ]
        f1 = np.mean([statistics.class_scores(matrix).f1 for matrix in counts], axis=0)
        rows.append({"model": group.label, **dict(zip(CLASSES, f1.tolist(), strict=True))})
    columns = [Column("model", "model"), *(Column(name, name, tables.fixed(name, 3)) for name in CLASSES)]
    return Table("class_f1", "F1 by class", columns, rows)


def comparable(groups: Sequence[Group]) -> list[Group]:
    """Return the groups that answered for the same images; of several sets, those of the commonest."""
    commonest = Counter(group.lead.test_set for group in groups).most_common(1)[0][0]
    return [group for group in groups if group.lead.test_set == commonest]


def pairs(groups: Sequence[Group]) -> Table:
    """Return the comparison of every two models on the same images, the largest difference first."""
    rows = statistics.paired_all({group.label: group.lead.right for group in groups})
    rows = [{**row, "sentence": sentence(row)} for row in sorted(rows, key=lambda row: -row["difference"])]
    columns = [
        Column("in words", "sentence", long=True),
        Column("difference", "difference", lambda row: points(row["difference"]), "percentage points"),
        Column(
            "95 % interval",
            "low",
            lambda row: f"{points(row['low'])} to {points(row['high'])}",
            "paired bootstrap over the test images",
        ),
        Column("only first right", "only_first", tables.grouped("only_first")),
        Column("only second right", "only_second", tables.grouped("only_second")),
        Column(
            "p (Holm)", "p_holm", lambda row: p_text(row["p_holm"]).removeprefix("p = ").removeprefix("p ")
        ),
    ]
    return Table("pairs", "Every two models on the same test images", columns, rows)


def gaps(groups: Sequence[Group]) -> Table:
    """Return training and validation accuracy at the epoch that was tested."""
    columns = [
        Column("model", "model"),
        Column("epoch", "epoch", note="the best by validation accuracy"),
        Column("training", "train", tables.fixed("train"), "on augmented images where there is augmentation"),
        Column("validation", "val", tables.fixed("val")),
        Column("gap", "gap", lambda row: points(row["gap"]), "training less validation, percentage points"),
        Column("test", "test", tables.fixed("test")),
    ]
    rows = [row for group in groups if (row := _gap(group)) is not None]
    return Table("gaps", "Training against validation accuracy", columns, rows)


def _gap(group: Group) -> Row | None:
    history = curves(group.lead)
    if not {"train/accuracy", "val/accuracy"} <= history.keys():
        return None
    (epochs, validation), training = (
        history["val/accuracy"],
        dict(zip(*history["train/accuracy"], strict=True)),
    )
    best = int(np.argmax(validation))
    if epochs[best] not in training:
        return None
    train, val = float(training[epochs[best]]), float(validation[best])
    test = float(group.lead.right.mean())
    return {
        "model": group.label,
        "epoch": int(epochs[best]) + 1,
        "train": train,
        "val": val,
        "gap": train - val,
        "test": test,
    }


def curves(member: Member) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the finite points of a run's learning curves; no curves where there is no readable file."""
    try:
        history = member.run.history()
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    finite = {name: np.isfinite(values) for name, (_, values) in history.items()}
    return {
        name: (epochs[finite[name]], values[finite[name]])
        for name, (epochs, values) in history.items()
        if finite[name].any()
    }


def published_figures(groups: Sequence[Group]) -> Table:
    """Return the published figures beside ours, each once: beside the best of the groups of that name."""
    rows: list[Row] = []
    for group in groups:  # the best first
        theirs = published.find(group.lead.name)
        if theirs is not None and theirs.system not in (
            row["system"] for row in rows if row["source"] == theirs.source
        ):
            rows.append(
                {
                    "model": group.label,
                    "list": "reports" if theirs in published.REPORTS.values() else "records",
                    "system": theirs.system,
                    "source": theirs.source,
                    "said": theirs.said,
                    "published": theirs.accuracy,
                    "ours": group.accuracy,
                    "verdict": published.verdict(group.accuracy, theirs.accuracy),
                }
            )
    columns = [
        Column("model", "model"),
        Column("system", "system"),
        Column("source", "source"),
        Column("published", "said"),
        Column("ours", "ours", tables.fixed("ours")),
        Column("verdict", "verdict"),
    ]
    return Table("published", "Published figures beside ours", columns, rows)


def provenance(groups: Sequence[Group]) -> Table:
    """Return what was run, one row a run."""
    rows = [_provenance(group, member) for group in groups for member in group.members]
    columns = [
        Column("model", "model"),
        Column("run", "folder"),
        Column("seed", "seed"),
        Column("images", "split", note="training + validation"),
        Column(
            "commit", "commit", lambda row: row["commit"][:10] + "-dirty" * row["commit"].endswith("-dirty")
        ),
        Column("hardware", "hardware", long=True),
        Column("versions", "versions", long=True),
        Column("started", "started"),
        Column("command", "command", long=True),
        Column("data", "data_hash", note="SHA-256 over the four files' SHA-256"),
    ]
    return Table("runs", "What was run", columns, rows)


def _provenance(group: Group, member: Member) -> Row:
    record = member.run.record
    hardware, split = record.get("hardware") or {}, record.get("split") or {}
    names = (str(hardware[key]) for key in ("processor", "device") if hardware.get(key))
    versions: dict[str, Any] = record.get("versions") or {}
    data = json.dumps(record.get("data_sha256"), sort_keys=True)
    return {
        "model": group.label,
        "folder": str(member.run.path),
        "seed": member.seed,
        "split": f"{split.get('train', '?')} + {split.get('val', '?')}",
        "commit": str(record["git_commit"]) if record.get("git_commit") else None,
        "hardware": ", ".join([*names, f"{hardware.get('cores', '?')} cores"]),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "started": record.get("started"),
        "command": record.get("command"),
        "data_hash": hashlib.sha256(data.encode()).hexdigest()[:12],
    }
