"""The charts of a study: history, importance, parallel coordinates, slices, learning curves, repetitions."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fmnist.core.statistics import spread_of
from fmnist.core.tables import short
from fmnist.evaluation.charts import (
    BY_CLASS,
    COLOURS,
    GREY,
    Chart,
    axis,
    chart,
    epoch_axis,
    escaped,
    rounded,
    scatter,
)
from fmnist.studies.entries import Entry, Repetition, last_part

BLUES = [[0, "#BFD9EE"], [1, "#1A5A96"]]
TICKS = 5  # of a vertical axis of the parallel coordinates
LONGEST = 24  # characters of a value that stands beside an axis
BELOW = -0.15  # height there of a trial that has no value


def history(entries: Sequence[Entry], metric: str, maximise: bool) -> Chart:
    """Draw the result of each trial in the order of their numbers, and the best one so far."""
    ordered = sorted((entry for entry in entries if entry.result is not None), key=lambda entry: entry.number)
    traces = [
        _points([entry for entry in ordered if entry.state == state], state, colour, symbol)
        for state, colour, symbol in (("finished", COLOURS[0], "circle"), ("pruned", GREY, "x-thin-open"))
    ]
    finished = [entry for entry in ordered if entry.state == "finished"]
    results = np.array([entry.result for entry in finished], float)
    best = (np.maximum if maximise else np.minimum).accumulate(results)
    line = {"color": COLOURS[1], "width": 2, "shape": "hv"}
    numbers = [entry.number for entry in finished]
    traces.append(scatter("lines", numbers, rounded(best), name="best so far", line=line, hoverinfo="skip"))
    return chart(
        traces, height=400, hovermode="closest", xaxis=axis("trial"), yaxis=axis(metric, tickformat=".3~f")
    )


def _points(entries: Sequence[Entry], name: str, colour: str, symbol: str) -> dict[str, Any]:
    return scatter(
        "markers",
        [entry.number for entry in entries],
        rounded(entry.result for entry in entries),
        name=name,
        text=[_described(entry) for entry in entries],
        marker={"size": 10, "color": colour, "symbol": symbol, "line": {"width": 2, "color": colour}},
        hovertemplate="trial %{x}: %{y:.4f}<br>%{text}<extra></extra>",
    )


def _described(entry: Entry) -> str:
    return "<br>".join(escaped(f"{flag} {short(value)}") for flag, value in entry.values.items())


def importance(shares: Mapping[str, float]) -> Chart:
    """Draw how much of the differences between trials each flag explains."""
    flags = sorted(shares, key=lambda flag: shares[flag])
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": rounded(shares[flag] for flag in flags),
        "y": [escaped(flag) for flag in flags],
        "marker": {"color": COLOURS[0]},
        "texttemplate": "%{x:.0%}",
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }
    return chart(
        [bars],
        height=110 + 34 * len(flags),
        xaxis=axis("share of the variance", tickformat=".0%", rangemode="tozero"),
        yaxis={"type": "category", "automargin": True},
        showlegend=False,
    )


def parallel_coordinates(entries: Sequence[Entry], metric: str) -> Chart:
    """Draw each trial with a result as a line through its values, the better the stronger.

    Plotly's own parallel coordinates need WebGL, which neither every browser nor paper has.

    Args:
        entries: The best first.
        metric: Name of the result.
    """
    shown = [entry for entry in entries if entry.result is not None][::-1]
    flags = list(dict.fromkeys(flag for entry in shown for flag in entry.values))
    axes = [_parallel_axis([entry.values.get(flag) for entry in shown]) for flag in flags]
    axes.append(_parallel_axis([entry.result for entry in shown]))
    places = list(range(len(axes)))
    traces = [
        scatter(
            "lines",
            places,
            [heights[row] for heights, _ in axes],
            line={
                "color": COLOURS[0],
                "width": 1.2 + 2 * row / len(shown),
                "shape": "spline",
                "smoothing": 0.6,
            },
            opacity=0.15 + 0.85 * (row / len(shown)) ** 2,
            text=[_described(entry)] * len(axes),
            hovertemplate=f"trial {entry.number}: {entry.result:.4f}<br>%{{text}}<extra></extra>",
        )
        for row, entry in enumerate(shown)
    ]
    traces += [
        scatter(
            "markers+lines+text",
            [place] * len(ticks),
            list(ticks),
            text=[escaped(_shortened(text)) for text in ticks.values()],
            textposition="middle left" if place else "middle right",
            line={"color": GREY, "width": 1},
            marker={"color": GREY, "size": 5},
            hoverinfo="skip",
        )
        for place, (_, ticks) in enumerate(axes)
    ]
    labels = [escaped(last_part(flag, flags)) for flag in flags] + [metric]
    xaxis = {"tickvals": places, "ticktext": labels, "side": "top", "showgrid": False, "zeroline": False}
    xaxis["range"] = [-0.1, len(axes) - 0.95]
    lowest = min(0.0, *(height for _, ticks in axes for height in ticks))
    yaxis = {"visible": False, "range": [lowest - 0.05, 1.05]}
    return chart(traces, height=440, showlegend=False, hovermode="closest", xaxis=xaxis, yaxis=yaxis)


def _parallel_axis(values: Sequence[Any]) -> tuple[list[float], dict[float, str]]:
    """Return the heights of values on a vertical axis, from 0 to 1, and its texts by height.

    A trial without a value (None) is drawn below the others.
    """
    known = [value for value in values if value is not None]
    if known and _are_numbers(known):
        scale = np.log10 if _is_logarithmic(known) else np.float64
        low, span = float(scale(min(known))), float(scale(max(known)) - scale(min(known))) or 1.0
        heights = [None if value is None else float((scale(value) - low) / span) for value in values]
        ends = np.linspace(0, 1, TICKS) if max(known) > min(known) else np.zeros(1)
        marks = [low + span * end for end in ends]
        texts = [f"{10**mark if scale is np.log10 else mark:.3g}" for mark in marks]
    else:
        names = sorted({str(value) for value in known})
        steps = max(len(names) - 1, 1)
        heights = [None if value is None else names.index(str(value)) / steps for value in values]
        ends, texts = np.arange(len(names)) / steps, names
    ticks = {BELOW: "none"} if len(known) < len(values) else {}
    ticks |= dict(zip(rounded(ends), texts, strict=True))
    return [BELOW if height is None else round(height, 4) for height in heights], ticks


def _plain(text: str) -> str:
    """Return a list or a mapping without brackets and quotation marks."""
    return re.sub(r"[][{}\"']", "", text)


def _shortened(text: str) -> str:
    text = _plain(text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _is_logarithmic(values: Sequence[Any]) -> bool:
    return min(values) > 0 and max(values) / min(values) > 10


def slices(entries: Sequence[Entry], metric: str) -> dict[str, Chart]:
    """Draw the result over the values of each flag; darker points are later trials."""
    shown = [entry for entry in entries if entry.result is not None and entry.state == "finished"]
    flags = dict.fromkeys(flag for entry in shown for flag in entry.values)
    return {flag: _slice(flag, [e for e in shown if flag in e.values], metric) for flag in flags}


def _slice(flag: str, entries: Sequence[Entry], metric: str) -> Chart:
    values = [entry.values[flag] for entry in entries]
    is_number = _are_numbers(values)
    names = {escaped(str(value)): escaped(_plain(str(value))) for value in values}
    kind: dict[str, Any] = {"type": "category", "tickvals": list(names), "ticktext": list(names.values())}
    if is_number:
        kind = {"type": "log", "dtick": 1} if _is_logarithmic(values) else {}
        if kind and np.ptp(np.log10(values)) < 3:
            kind["dtick"] = "D2"
    trace = scatter(
        "markers",
        values if is_number else [escaped(str(value)) for value in values],
        rounded(entry.result for entry in entries),
        text=[f"trial {entry.number}" for entry in entries],
        marker={
            "size": 9,
            "color": [entry.number for entry in entries],
            "colorscale": BLUES,
            "line": {"width": 1, "color": COLOURS[0]},
        },
        hovertemplate="%{text}<br>%{x}: %{y:.4f}<extra></extra>",
    )
    return chart(
        [trace],
        height=300,
        showlegend=False,
        xaxis=axis(escaped(flag), **kind),
        yaxis=axis(metric, tickformat=".3~f"),
    )


def learning_curves(entries: Sequence[Entry], metric: str, best: int | None) -> Chart:
    """Draw the metric of each trial by epoch: the best one in colour, pruned ones dotted."""
    traces = []
    for entry in sorted(entries, key=lambda entry: entry.number == best):
        if not entry.curve:
            continue
        epochs = sorted(entry.curve)
        colour = COLOURS[1] if entry.number == best else GREY
        traces.append(
            scatter(
                "lines+markers" if len(epochs) == 1 else "lines",
                [epoch + 1 for epoch in epochs],
                rounded(entry.curve[epoch] for epoch in epochs),
                name=f"trial {entry.number}",
                line={
                    "color": colour,
                    "width": 3 if entry.number == best else 1.2,
                    "dash": "dot" if entry.state == "pruned" else "solid",
                },
                hovertemplate=f"trial {entry.number}, epoch %{{x}}: %{{y:.4f}}<extra></extra>",
            )
        )
    return chart(
        traces,
        height=400,
        showlegend=False,
        hovermode="closest",
        xaxis=epoch_axis(max((trace["x"][-1] for trace in traces), default=0)),
        yaxis=axis(metric, tickformat=".3~f"),
    )


def repetitions(groups: Mapping[str, Sequence[Entry]], over: Repetition) -> Chart:
    """Draw each run as a dot, and above the dots their mean with its 95 % interval, if it has one."""
    labels = [escaped(label) or f"all {over.unit}s" for label in groups]
    traces = []
    for place, (label, entries) in enumerate(zip(labels, groups.values(), strict=True)):
        results = [entry.result for entry in entries if entry.result is not None]
        colour = COLOURS[place % len(COLOURS)]
        traces.append(
            scatter(
                "markers",
                rounded(results),
                [label] * len(results),
                text=[
                    ", ".join(f"{flag} {value}" for flag, value in entry.values.items()) for entry in entries
                ],
                marker={"size": 9, "color": colour, "opacity": 0.55},
                hovertemplate="%{text}<br>%{x:.4f}<extra></extra>",
            )
        )
        if len(results) > 1:
            found = spread_of(results)
            half = rounded([found.high - found.mean]) if over.has_interval else []
            error = {"type": "data", "array": half, "thickness": 2, "width": 8, "color": colour}
            traces.append(
                scatter(
                    "markers",
                    rounded([found.mean]),
                    [label],
                    error_x=error,
                    marker={"size": 14, "color": colour, "symbol": "diamond"},
                    hovertemplate=f"mean %{{x:.4f}} of all {over.unit}s<extra></extra>",
                )
            )
    return chart(
        traces,
        height=130 + 50 * len(labels),
        showlegend=False,
        yaxis=BY_CLASS,
        xaxis=axis(over.metric, tickformat=".4~f"),
    )
