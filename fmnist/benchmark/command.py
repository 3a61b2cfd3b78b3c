"""Measure parts of the benchmark, and keep every row as soon as it is there."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from fmnist.benchmark import TITLES, parts
from fmnist.benchmark.parts import Settings
from fmnist.core.environment import environment
from fmnist.core.errors import InputError, one_line, quoted, reports_unwritable
from fmnist.core.files import check_output, write_file
from fmnist.core.tables import Column, Row, Table


def measure(names: Sequence[str], settings: Settings, output: Path) -> None:
    """Measure parts, by their names in ``TITLES``; print their rows, and write them to two files.

    These are ``output.json`` and ``output.md``. Parts that are measured again lose their older rows, the
    others keep theirs.
    """
    flag = f"--output {quoted(output)}"
    if output.name in ("", ".."):
        raise InputError(f"{flag}: is a folder; name files in it, like {quoted(output / 'benchmark')}")
    as_json, as_markdown = (output.with_name(output.name + suffix) for suffix in (".json", ".md"))
    with reports_unwritable(flag):
        output.parent.mkdir(parents=True, exist_ok=True)
    for path in (as_json, as_markdown):
        check_output(flag, path, (path.suffix,))
    results = _earlier(as_json)
    for name in names:
        results[name] = {**_conditions(settings), "rows": []}
        print(f"\n{TITLES[name]}", flush=True)
        for row in getattr(parts, name)(settings):
            results[name]["rows"].append(row)
            print(_line(row), flush=True)
            with reports_unwritable(flag):
                write_file(as_json, json.dumps(results, indent=2) + "\n")
                write_file(as_markdown, markdown(results))
    print(f"\n{as_markdown} and {as_json} hold all rows")


def _earlier(path: Path) -> dict[str, Any]:
    """Return the results that a file holds, by part; none if there is no such file.

    Raises:
        InputError: It holds something else.
    """
    if not path.exists():
        return {}
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(results, dict) or results.keys() - TITLES:
            raise ValueError("it holds other keys")
        return {part: {**result, "rows": list(result["rows"])} for part, result in results.items()}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"--output {quoted(path)}: holds no results of a benchmark ({one_line(error)}); move it away"
        ) from None


def _conditions(settings: Settings) -> dict[str, Any]:
    found = environment()
    hardware, versions = found["hardware"], found["versions"]
    return {
        "processor": hardware["processor"],
        "device": torch.cuda.get_device_name() if settings.device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "precision": settings.precision,
        "torch": versions["torch"],
        "git_commit": found["git_commit"],
    }


def _value(row: Row) -> str:
    digits = {"images/s": ",.0f", "MB": ",.0f", "s": ",.2f"}[row["unit"]]
    return f"{row['value']:{digits}} {row['unit']}"


def _ratio(row: Row) -> str:
    return f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"


COLUMNS = (
    Column("measured", "measured"),
    Column("value", "value", _value),
    Column("times as long", "ratio", _ratio),
)


def _line(row: Row) -> str:
    return "  ".join(
        (f"{row['measured']:46}", f"{_value(row):>16}", COLUMNS[2].cell(row) if row["ratio"] else "")
    ).rstrip()


def markdown(results: dict[str, Any]) -> str:
    """Return all parts as Markdown tables, each with the conditions under which it was measured."""
    sections = []
    for part, result in results.items():
        table = Table(part, TITLES[part], COLUMNS, result["rows"]).markdown()
        conditions = ", ".join(
            f"{name.replace('_', ' ')} {value}" for name, value in result.items() if name != "rows"
        )
        sections.append(f"{table}\n{conditions}\n")
    return "\n".join(sections)
