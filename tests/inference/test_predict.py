"""CSV, JSON, table and contact sheet show the same answers; wrong flags are refused before any work."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.figures import contact_sheet
from fmnist.inference import predict as module
from fmnist.inference.answers import Answer, picture_classifier
from fmnist.inference.predict import KEYS, predict, table_of, write_answers, write_sheet
from fmnist.inference.predictor import Predictor
from fmnist.pictures import PreparedFile

CHOICES = (("Bag", 0.91234567), ("Dress", 0.05), ("Coat", 0.01))
TINY = np.zeros((28, 28, 3), np.uint8)
FLAGS = ("several objects", "object under 5 % of the area")
SURE = Answer(PreparedFile("bag, brown.png", "ok", (), TINY[..., 0], TINY), CHOICES, (), 0.25)
DOUBTS = ("close call between Bag and Dress", "several objects")
UNSURE = Answer(PreparedFile("b.png", "ok", FLAGS, TINY[..., 0], TINY), CHOICES, DOUBTS)
FAILED = Answer(PreparedFile("c" * 99, "is empty (0 bytes)"))
ANSWERS = [SURE, UNSURE, FAILED]


def test_csv_and_json_hold_the_same(tmp_path: Path) -> None:
    for name in ("a.csv", "a.JSON"):
        write_answers(table_of(ANSWERS), str(tmp_path / name))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    objects = json.loads((tmp_path / "a.JSON").read_text())
    assert list(rows[0]) == list(objects[0]) == list(KEYS)
    for row, fields in zip(rows, objects, strict=True):
        assert row == {key: "" if value is None else str(value) for key, value in fields.items()}
    assert objects[0] == {
        "file": "bag, brown.png", "status": "ok", "class": "Bag", "probability": 0.912346,
        "second": "Dress", "second_probability": 0.05, "third": "Coat", "third_probability": 0.01,
        "unsure": "", "flags": "", "distance": 0.25,
    }  # fmt: skip
    assert objects[1]["unsure"] == "; ".join(DOUBTS)
    assert objects[1]["flags"] == "; ".join(FLAGS)
    assert (objects[2]["status"], objects[2]["class"]) == ("is empty (0 bytes)", None)


def test_the_table_has_a_line_for_every_file() -> None:
    _, sure, unsure, failed = table_of(ANSWERS).text().splitlines()
    assert sure.split("  ")[0] == "bag, brown.png"
    assert sure.endswith("Bag 91.2 %  Dress 5.0 %, Coat 1.0 %")
    assert unsure.endswith(f"unsure: {DOUBTS[0]}; unsure: {DOUBTS[1]}; {FLAGS[1]}")
    assert failed.startswith("…ccc")
    assert failed.endswith("not done: is empty (0 bytes)")


def test_the_sheet_shows_the_first_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, draw = [], contact_sheet.contact_sheet
    monkeypatch.setattr(module, "SHEET_CARDS", 1)
    monkeypatch.setattr(contact_sheet, "contact_sheet", lambda *args: drawn.append(args) or draw(*args))
    write_sheet([UNSURE, SURE, FAILED], "cnn", str(tmp_path / "sheet.png"))
    ((cards, title, failed),) = drawn
    assert [(card.name, card.doubts, card.notes) for card in cards] == [("b.png", DOUBTS, [FLAGS[1]])]
    assert title == "cnn; the first 1 are shown"
    assert failed == [("c" * 99, "is empty (0 bytes)")]
    assert (tmp_path / "sheet.png").stat().st_size


def test_a_file_that_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(InputError, match=f"--output {path}: cannot be written"):
        write_answers(table_of(ANSWERS), str(path))
    with pytest.raises(InputError, match=f"--sheet {path}: cannot be written"):
        write_sheet([], "a", str(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("output", "a.xlsx", "--output .*a.xlsx: must end in .csv or .json"),
        ("output", "none/a.csv", "none/a.csv: .*none is not a folder that can be written"),
        ("sheet", "folder.png", "--sheet .*folder.png: is a folder"),
        ("sheet", "./picture.png", "--sheet .*picture.png: is one of the pictures"),
        ("stages", "file/stages", "--stages .*file/stages: cannot be written"),
    ],
)
def test_a_wrong_flag_is_refused_before_any_work(
    flag: str, value: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "picture_classifier", None)
    (tmp_path / "folder.png").mkdir()
    for name in ("file", "picture.png"):
        (tmp_path / name).touch()
    flags: Any = {flag: f"{tmp_path}/{value}"}
    with pytest.raises(InputError, match=message):
        predict(Run.create(tmp_path, "run"), [str(tmp_path / "picture.png")], **flags)
    assert (tmp_path / "picture.png").read_bytes() == b""


@pytest.mark.parametrize("threshold", [-0.1, 1.5, np.nan])
def test_a_threshold_is_a_probability(threshold: float, tmp_path: Path) -> None:
    run = Run.create(tmp_path, "run", status="finished")  # without a model
    with pytest.raises(InputError, match=f"^--threshold {threshold:g}: must lie between 0 and 1$"):
        picture_classifier(Predictor(run), threshold=threshold)
