"""What tests read from a page."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fmnist.core.runs import Run
from fmnist.evaluation.comparison import write_comparison
from fmnist.evaluation.report import write_report


class Page(HTMLParser):
    """A page's elements, its tables as texts, and its data.

    Attributes:
        elements: Every start tag with its attributes.
        tables: By the id of the element around it, the texts of each row's cells.
        data: The content of ``#data``.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.texts: list[str] = []
        self._within: list[str] = []
        self._json = ""
        self.feed(html)
        self.data: dict[str, Any] = json.loads(self._json)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.elements.append((tag, values))
        self._within.append("data" if values.get("id") == "data" else tag)
        if tag == "div" and str(values.get("id")).startswith("table-"):
            self.tables[str(values["id"]).removeprefix("table-")] = []
        if tag == "tr" and self.tables:
            self.tables[list(self.tables)[-1]].append([])
        if tag in ("td", "th") and self.tables:
            self.tables[list(self.tables)[-1]][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._within and self._within.pop() not in (tag, "data"):
            pass

    def handle_data(self, text: str) -> None:
        if "data" in self._within:
            self._json += text
        elif {"td", "th"} & set(self._within):
            self.tables[list(self.tables)[-1]][-1][-1] += text.strip()
        elif not {"script", "style"} & set(self._within):
            self.texts.append(text)


def report(run: Run, root: Path) -> Page:
    """Write the report of a run and read its page."""
    write_report(run, str(root))
    return Page((run.path / "report.html").read_text())


def comparison(logs: Path, **options: Any) -> Page:
    """Compare the runs in a folder, without the data set, and read the page."""
    write_comparison([logs], logs / "out", str(logs), **options)
    return Page((logs / "out" / "compare.html").read_text())
