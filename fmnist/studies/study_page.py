"""The page ``study.html``: which runs a study has, what they reached, and what made the difference."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fmnist.core.errors import quoted, reports_unwritable
from fmnist.core.files import write_file
from fmnist.core.tables import KeyFigure, counted, short, time_text
from fmnist.evaluation import page
from fmnist.studies import study_charts
from fmnist.studies.entries import OVER_SEEDS, Entry, Repetition, groups_of, trials_table

PAGE = "study.html"


class Searched(NamedTuple):
    """What only a search has.

    Attributes:
        metric: What was searched for.
        maximise: Whether more of it is better.
        importance: By flag, its share of the variance; empty where it cannot be said.
    """

    metric: str
    maximise: bool
    importance: Mapping[str, float]


def write_page(
    folder: Path,
    command: str,
    entries: Sequence[Entry],
    searched: Searched | None = None,
    repeated: Sequence[Entry] = (),
    sentences: Sequence[str] = (),
    comparison: str | None = None,
    over: Repetition = OVER_SEEDS,
) -> Path:
    """Write the page of a study, and its table as CSV and Markdown.

    Args:
        folder: The study's folder, which has its name.
        command: The command that continues it.
        entries: Its runs.
        searched: What only a search has.
        repeated: Runs whose seeds or folds are shown.
        sentences: Their results in words.
        comparison: Address of a comparison of them.
        over: What the runs are repeated over.

    Returns:
        The page's path.

    Raises:
        InputError: The folder cannot be written.
    """
    maximise = searched is None or searched.maximise
    ordered = sorted(entries, key=lambda entry: _rank(entry, maximise))
    metric = over.metric if searched is None else searched.metric
    best = next((e for e in ordered if e.state == "finished" and e.result is not None), None)
    groups = groups_of(repeated)
    leads_with_mean = searched is None and bool(sentences)
    if leads_with_mean:  # the best of several seeds or folds says nothing
        ordered, best = list(entries), None
    heading = "All runs" if best is None else f"All {'trials' if searched else 'runs'}, the best first"
    table = trials_table(ordered, heading, metric, folder)
    charts = {"repetitions": study_charts.repetitions(groups, over)}
    slices: dict[str, Any] = {}
    shows_search = searched is not None and any(entry.result is not None for entry in entries)
    if searched is not None and shows_search:
        slices = study_charts.slices(ordered, metric)
        charts |= {
            "history": study_charts.history(ordered, metric, maximise),
            "importance": study_charts.importance(searched.importance),
            "parallel": study_charts.parallel_coordinates(ordered, metric),
            "curves": study_charts.learning_curves(ordered, metric, best.number if best else None),
            **{f"slice_{place}": chart for place, chart in enumerate(slices.values())},
        }
    html = page.render(
        "study.html",
        {"charts": charts, "matrices": {}, "tables": {table.name: table.rows}},
        title=folder.name,
        kicker=f"{'Search' if searched else 'Study'} of {counted(len(entries), 'run')} on Fashion-MNIST",
        warnings=[],
        opening=_opening(entries, best, metric, searched is not None, sentences),
        key_figures=_key_figures(entries, best, metric),
        command=command,
        groups=groups,
        over=over,
        repeated_sentences=[] if leads_with_mean else sentences,
        comparison=comparison,
        search=shows_search,
        curves=any(entry.curve for entry in entries),
        important=bool(searched and searched.importance),
        finished=sum(entry.state == "finished" for entry in entries),
        slices=[(flag, f"slice_{place}") for place, flag in enumerate(slices)],
        tables={table.name: table},
    )
    with reports_unwritable(quoted(folder)):
        write_file(folder / PAGE, html)
        table.save(folder)
    return folder / PAGE


def _rank(entry: Entry, maximise: bool) -> tuple[bool, bool, float, int]:
    """Return what orders runs: finished ones first, then those with a result, the best first."""
    result = entry.result or 0.0
    return entry.state != "finished", entry.result is None, -result if maximise else result, entry.number


def _opening(
    entries: Sequence[Entry], best: Entry | None, metric: str, is_search: bool, sentences: Sequence[str]
) -> list[str]:
    kind = "trial" if is_search else "run"
    if best is not None:
        values = ", ".join(f"{flag} {short(value)}" for flag, value in best.values.items())
        found = f"with a {metric} of {best.result:.4f}{': ' if values else ''}{values}"
        lines = [f"The best {kind} is number {best.number}, {found}."]
    elif any(entry.result is not None for entry in entries):
        lines = list(sentences)
    else:
        is_finished = any(entry.state == "finished" for entry in entries)
        return [f"No run has a {metric}." if is_finished else "No run is finished."]
    if failed := [entry for entry in entries if entry.state == "failed"]:
        reasons = "; ".join(f"number {entry.number}: {entry.reason}" for entry in failed[:3] if entry.reason)
        lines.append(f"{counted(len(failed), kind)} failed{' (' + reasons + ')' if reasons else ''}.")
    return lines


def _key_figures(entries: Sequence[Entry], best: Entry | None, metric: str) -> list[KeyFigure]:
    states = [entry.state for entry in entries]
    seconds = sum((entry.run.record.get("train_seconds") or 0.0) if entry.run else 0.0 for entry in entries)
    others = [
        f"{states.count(state)} {state}"
        for state in ("pruned", "failed", "running", "waiting")
        if state in states
    ]
    figures = [KeyFigure("finished", f"{states.count('finished')}", ", ".join(others) or "no other")]
    if best is not None:
        figures.insert(0, KeyFigure(metric, f"{best.result:.4f}", f"of number {best.number}, the best"))
    return [*figures, KeyFigure("training time", time_text(seconds), "of all runs")]
