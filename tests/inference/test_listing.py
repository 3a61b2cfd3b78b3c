"""Rows, table and sheet say the same of a picture; files are written whole or not at all."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.inference import listing
from fmnist.inference.answers import Answer
from fmnist.inference.listing import COLUMNS, as_csv, as_json, as_table, write_sheet, write_text
from fmnist.inference.preparing import Picture

CHOICES = (("Bag", 0.91234567), ("Dress", 0.05), ("Coat", 0.01))
TINY = np.zeros((28, 28, 3), np.uint8)
SURE = Answer(Picture("bag, brown.png", "ok", (), TINY[..., 0], TINY), CHOICES, (), 0.25)
UNSURE = Answer(
    Picture("b.png", "ok", ("several objects", "object under 5 % of the area"), TINY[..., 0], TINY),
    CHOICES,
    ("close call between Bag and Dress", "several objects"),
)
FAILED = Answer(Picture("c.png", "is empty (0 bytes)"))
ANSWERS = [SURE, UNSURE, FAILED]


def test_csv_and_json_hold_the_same() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(ANSWERS))))
    objects = json.loads(as_json(ANSWERS))
    assert list(rows[0]) == list(objects[0]) == list(COLUMNS)
    for row, fields in zip(rows, objects, strict=True):
        assert row == {key: "" if value is None else str(value) for key, value in fields.items()}
    assert objects[0] == {
        "file": "bag, brown.png", "status": "ok", "class": "Bag", "probability": 0.912346,
        "second": "Dress", "second_probability": 0.05, "third": "Coat", "third_probability": 0.01,
        "unsure": "", "flags": "", "distance": 0.25,
    }  # fmt: skip
    assert objects[1]["unsure"] == "close call between Bag and Dress; several objects"
    assert objects[1]["flags"] == "several objects; object under 5 % of the area"
    assert (objects[2]["status"], objects[2]["class"]) == ("is empty (0 bytes)", None)


def test_the_table_has_a_line_for_every_file() -> None:
    long = Answer(Picture("d" * 99, "is empty (0 bytes)"))
    sure, unsure, failed, last = as_table([*ANSWERS, long]).splitlines()
    assert sure.split("  ")[0] == "bag, brown.png"
    assert sure.endswith("Bag 91.2 %  Dress 5.0 %, Coat 1.0 %")
    assert unsure.endswith(
        "unsure: close call between Bag and Dress; unsure: several objects; object under 5 % of the area"
    )
    assert failed.endswith("not done: is empty (0 bytes)")
    assert last.startswith("…ddd")


def test_a_sheet_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    titles = []
    draw = listing.contact_sheet
    monkeypatch.setattr(listing, "SHEET", 1)
    monkeypatch.setattr(
        listing,
        "contact_sheet",
        lambda cards, title, failed: titles.append(title) or draw(cards, title, failed),
    )
    write_sheet(tmp_path / "sheet.png", ANSWERS, "cnn")
    assert titles == ["cnn; the first 1 are shown"]
    assert Image.open(tmp_path / "sheet.png").width > 1000


@pytest.mark.parametrize(
    "write", [lambda path: write_text(path, "a"), lambda path: write_sheet(path, [], "a")]
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(write, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="folder: cannot be written"):
        write(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
