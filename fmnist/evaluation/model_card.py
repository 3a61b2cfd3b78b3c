"""The model card of a shipped network, after Mitchell et al. 2019, arXiv 1810.03993."""

import json
from pathlib import Path
from typing import Any

from fmnist.core.runs import Run
from fmnist.evaluation.summary import summarise
from fmnist.inference.detection import NEIGHBOUR

BEFORE_CUTTING_DOWN = (
    " The rows after the AUROC were measured on the run before it was cut down: with float32 weights, and "
    "with more training images to compare the distance with."
)
SHIFTS = " Intervals for corruptions and rendered photographs are 1.96 standard errors to each side."
PHOTOGRAPHS = (
    " Real photographs are phone pictures of a public set, with intervals by Wilson (1927). "
    "`configs/photographs/` says where to get it, and has the mapping that each row names."
)
TEMPLATE = Path(__file__).parent / "templates" / "model_card.md"


def model_card(run: Run, agreement: float, shifts: dict[str, Any]) -> str:
    """Return the card of a shipped network as Markdown.

    Args:
        run: The shipped run, with its predictions.
        agreement: Share of test images with the class that the float32 weights give.
        shifts: The content of ``shifts.json``, or of its ``detection`` alone.
    """
    record = run.record
    val = run.predictions("val") if run.has_predictions("val") else None
    summary = summarise(run.predictions("test"), val)
    aurocs = [
        f"{row['auroc']:.3f} ({row['outsiders']})" for row in shifts["detection"] if row["score"] == NEIGHBOUR
    ]
    rows = [
        *_clean_rows(summary),
        ("AUROC of the distance that `predict.py` warns by", ", ".join(aurocs)),
    ]
    photographs = sorted((run.path / "photographs").glob("*.json"))
    notes = BEFORE_CUTTING_DOWN if "clean" in shifts or photographs else ""
    if "clean" in shifts:
        rows += _shift_rows(shifts)
        notes += SHIFTS
    if photographs:
        rows += [row for path in photographs for row in _photograph_rows(json.loads(path.read_text()))]
        notes += PHOTOGRAPHS
    hardware, split = record.get("hardware", {}), record["split"]
    teachers = " and ".join(f"`{teacher['run']}`" for teacher in record.get("teachers") or ())
    return TEMPLATE.read_text().format(
        name=record["name"],
        parameters=record.get("parameters", 0),
        train=split["train"],
        val=split["val"],
        images=summary["images"],
        photographs_data=" Labelled photographs, too, see `run.json`." if record.get("photographs") else "",
        figures="\n".join(f"| {what} | {figure} |" for what, figure in rows),
        notes=notes,
        agreement=100 * agreement,
        command=record.get("command"),
        teachers=f"It learned from {teachers}. " if teachers else "",
        seconds=record.get("train_seconds", 0),
        processor=hardware.get("processor"),
        device=hardware.get("device"),
        epochs=record.get("epochs"),
        seed=record.get("seed"),
        commit=record.get("git_commit"),
        torch=record.get("versions", {}).get("torch"),
    )


def _interval(figure: dict[str, float] | None) -> str:
    return (
        "none" if figure is None else f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
    )


def _with_error(figure: dict[str, float]) -> str:
    value, half = figure["accuracy"], 1.96 * figure["standard_error"]
    return _interval({"value": value, "low": value - half, "high": min(value + half, 1)})


def _clean_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    accuracy = summary["accuracy"]
    text = f"{accuracy['value']:.4f} ({accuracy['low']:.4f} to {accuracy['high']:.4f})"
    rows = [(f"accuracy, {summary['images']:,} test images", text)]
    if scaled := summary["scaled"]:
        rows.append(
            ("calibration error on them, after temperature scaling", f"{scaled['calibration_error']:.4f}")
        )
    return rows


def _shift_rows(shifts: dict[str, Any]) -> list[tuple[str, str]]:
    photographs = shifts["photographs"]
    figures = {
        f"accuracy under corruptions, {shifts['images']:,} test images": shifts["mean_corruption_accuracy"]
    }
    kinds = {
        "product": "dark on light paper",
        "plain": "in colour on a plain background",
        "cluttered": "in colour on a cluttered background",
    }
    for kind, words in kinds.items():
        what = f"accuracy on {photographs['images']:,} rendered photographs, {words}"
        figures[what] = photographs["kinds"][kind]
    return [(what, _with_error(figure)) for what, figure in figures.items()]


def _photograph_rows(measured: dict[str, Any]) -> list[tuple[str, str]]:
    known, foreign, name = measured["known"], measured["foreign"], measured["name"]
    rows = [
        (f"accuracy on {known['photographs']} real photographs (`{name}`)", _interval(known["accuracy"])),
        ("of them, unsure", _interval(known["refused"])),
        ("right where sure", _interval(known["sure_accuracy"])),
    ]
    if foreign["photographs"]:
        what = f"unsure, of {foreign['photographs']} foreign photographs (of no class)"
        rows.append((what, _interval(foreign["refused"])))
    return rows
