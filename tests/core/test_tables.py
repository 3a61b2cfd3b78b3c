"""Tables as CSV, Markdown and text."""

import csv
import io
from pathlib import Path

import pytest

from fmnist.core import tables
from fmnist.core.tables import Column, Table

TABLE = Table(
    "made",
    "A table",
    [Column("model", "model"), Column("accuracy", "accuracy", tables.fixed("accuracy"), "a note")],
    [{"model": "a|b", "accuracy": 1 / 3, "hidden": 7}, {"model": "<i>", "accuracy": None, "hidden": 8}],
)


def test_csv_holds_every_value_at_full_precision() -> None:
    rows = list(csv.DictReader(io.StringIO(TABLE.csv())))
    assert rows[0] == {"model": "a|b", "accuracy": str(1 / 3), "hidden": "7"}
    assert rows[1]["accuracy"] == ""


def test_markdown_holds_what_people_read() -> None:
    assert TABLE.markdown() == (
        "**A table**\n\n| model | accuracy |\n| --- | ---: |\n| a\\|b | 0.3333 |\n| &lt;i> | – |\n"
    )


def test_a_table_without_rows_has_its_header() -> None:
    empty = Table("none", "None", TABLE.columns, [])
    assert empty.csv() == "model,accuracy\n"
    assert empty.markdown().count("\n") == 4


def test_save_leaves_two_files_and_nothing_else(tmp_path: Path) -> None:
    TABLE.save(tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"made.csv", "made.md"}
    assert (tmp_path / "new" / "made.md").read_text(encoding="utf-8") == TABLE.markdown()


def test_text_is_aligned_numbers_to_the_right() -> None:
    assert TABLE.text() == "model  accuracy\na|b      0.3333\n<i>           –"


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        (tables.duration, 12.34, "12.3 s"),
        (tables.duration, 150, "2.5 min"),
        (tables.duration, 7200, "2.0 h"),
        (tables.size, 2_400_566, "2.4 MB"),
        (tables.size, 12_345, "12.3 kB"),
        (tables.grouped, 602634, "602,634"),
        (tables.fixed, 0.12345, "0.1235"),
    ],
)
def test_texts_of_numbers(text, value: float, expected: str) -> None:  # type: ignore[no-untyped-def]
    assert text("key")({"key": value}) == expected
