"""Tables as CSV, Markdown and text."""

from pathlib import Path

import pytest

from fmnist.core import tables
from fmnist.core.tables import Column, Table, counted, rounded_down

TABLE = Table(
    "made",
    "A table",
    [Column("model", "model"), Column("accuracy", "accuracy", "{:.4f}", "a note")],
    [{"model": "a|b", "accuracy": 1 / 3, "hidden": 7}, {"model": "<i>", "accuracy": None, "hidden": 8}],
)


def test_a_table_without_rows_has_its_header() -> None:
    empty = Table("none", "None", TABLE.columns, [])
    assert empty.csv() == "model,accuracy\n"
    assert empty.markdown().count("\n") == 4


def test_the_files_hold_all_values_and_what_people_read(tmp_path: Path) -> None:
    TABLE.save(tmp_path / "new")
    markdown = "| model | accuracy |\n| --- | ---: |\n| a\\|b | 0.3333 |\n| &lt;i> | – |\n"
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "new").iterdir()} == {
        "made.csv": f"model,accuracy,hidden\na|b,{1 / 3},7\n<i>,,8\n",
        "made.md": f"**A table**\n\n{markdown}",
    }


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
    ],
)
def test_texts_of_numbers(text, value: float, expected: str) -> None:  # type: ignore[no-untyped-def]
    assert text("key")({"key": value}) == expected


def test_a_cell_is_the_value_a_format_of_it_or_a_text_of_the_row() -> None:
    texts = "{}", "{:.4f}", "{:,.0f}", lambda row: row["hidden"]
    row = {"key": 602634, "hidden": "of the row"}
    cells = [Column("heading", "key", text).cell(row) for text in texts]
    assert cells == ["602634", "602634.0000", "602,634", "of the row"]


def test_a_probability_is_rounded_down_and_never_certain() -> None:
    assert [rounded_down(share) for share in (0.57, 0.9999, 1.0)] == ["0.570", "0.999", "0.999"]
    assert [rounded_down(share, in_percent=True) for share in (0.9978, 1.0)] == ["99.7 %", "99.9 %"]


def test_a_count_agrees_with_what_it_counts() -> None:
    assert [counted(n, "epoch") for n in (0, 1, 2, 1000)] == [
        "0 epochs",
        "1 epoch",
        "2 epochs",
        "1,000 epochs",
    ]
    assert [counted(n, "class", "classes") for n in (1, 2)] == ["1 class", "2 classes"]
