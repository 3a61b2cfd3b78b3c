"""Tables of values, written as text, CSV and Markdown; the HTML pages show the same columns."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from fmnist.core.files import write_file

Row = dict[str, Any]
NOTHING = "–"


class KeyFigure(NamedTuple):
    """One of the few numbers that a page begins with."""

    heading: str
    value: str
    detail: str


@dataclass(frozen=True)
class Column:
    """A column of a table as people read it.

    Attributes:
        heading: Its name.
        key: The value of a row that it sorts by.
        text: The format of the value, or a function of the whole row.
        note: What the column means, where the heading does not say it.
        long: Whether its texts need several lines.
        link: The value of a row that is the address which the cell leads to in a page.
    """

    heading: str
    key: str
    text: str | Callable[[Row], str] = "{}"
    note: str = ""
    long: bool = False
    link: str = ""

    def cell(self, row: Row) -> str:
        """Return the text of a row's cell; a dash where the row has no value."""
        value = row.get(self.key)
        if value is None:
            return NOTHING
        return self.text.format(value) if isinstance(self.text, str) else self.text(row)


@dataclass(frozen=True)
class Table:
    """Rows of values at full precision, and the columns that people read.

    Attributes:
        name: Of its files, and of its place in the page.
        title: Says what it shows.
        columns: From left to right.
        rows: Plain values by key, the same keys in each row.
    """

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]

    def csv(self) -> str:
        """Return all values at full precision."""
        text = io.StringIO()
        keys = list(self.rows[0]) if self.rows else [column.key for column in self.columns]
        writer = csv.DictWriter(text, keys, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    def markdown(self) -> str:
        """Return the columns as people read them, numbers to the right."""
        lines = self._cells()
        lines.insert(1, ["---:" if self.is_numeric(column) else "---" for column in self.columns])
        escaped = ((cell.replace("|", "\\|").replace("<", "&lt;") for cell in line) for line in lines)
        return f"**{self.title}**\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in escaped)

    def text(self) -> str:
        """Return the columns aligned for a terminal: numbers to the right, everything else to the left."""
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        numeric = [self.is_numeric(column) for column in self.columns]
        lines = (
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, numeric, strict=True)
            )
            for row in cells
        )
        return "\n".join(line.rstrip() for line in lines)

    def _cells(self) -> list[list[str]]:
        """Return the headings, and below them the texts of each row."""
        rows = ([column.cell(row) for column in self.columns] for row in self.rows)
        return [[column.heading for column in self.columns], *rows]

    def is_numeric(self, column: Column) -> bool:
        """Return whether a column holds numbers."""
        values = [row.get(column.key) for row in self.rows]
        return all(value is None or isinstance(value, int | float) for value in values)

    def save(self, folder: Path) -> None:
        """Write ``<name>.csv`` and ``<name>.md``."""
        write_file(folder / f"{self.name}.csv", self.csv())
        write_file(folder / f"{self.name}.md", self.markdown())


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number and what it counts: ``1 epoch``, ``2,000 images``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def time_text(seconds: float) -> str:
    """Return the text of seconds: in minutes from 100 s, in hours from 6,000 s."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def duration(key: str) -> Callable[[Row], str]:
    """Return the text of seconds, see ``time_text``."""
    return lambda row: time_text(row[key])


def size(key: str) -> Callable[[Row], str]:
    """Return the text of a number of bytes."""
    return lambda row: f"{row[key] / 1e6:,.1f} MB" if row[key] >= 1e5 else f"{row[key] / 1e3:,.1f} kB"


def rounded_down(probability: float, in_percent: bool = False) -> str:
    """Return a probability rounded down, e.g. 0.9998 as ``0.999`` or ``99.9 %``: it is never certainty."""
    thousandths = min(math.floor(probability * 1000), 999)
    return f"{thousandths / 10:.1f} %" if in_percent else f"{thousandths / 1000:.3f}"


def percent(share: float, digits: int = 2) -> str:
    """Return a share in per cent."""
    return f"{100 * share:.{digits}f} %"


def short(value: Any) -> str:
    """Return a value as tables show it, numbers with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
