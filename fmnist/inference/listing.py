"""Answers as rows: CSV and JSON for programs, a table for people, a contact sheet to look at."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmnist import figures
from fmnist.core.errors import InputError
from fmnist.figures.contact_sheet import Card, contact_sheet, percent
from fmnist.inference.answers import Answer
from fmnist.inference.preparing import OK

COLUMNS = (
    "file", "status", "class", "probability", "second", "second_probability", "third", "third_probability",
    "unsure", "flags", "distance",
)  # fmt: skip
SHEET = 60  # pictures of a contact sheet, the first ones
LONGEST = 48  # letters of a file in the terminal


def row_of(answer: Answer) -> dict[str, Any]:
    """Return an answer as plain values by column; None where there is none."""
    picture = answer.picture
    values = [value for name, probability in answer.choices for value in (name, round(probability, 6))]
    texts = {"unsure": "; ".join(answer.unsure), "flags": "; ".join(picture.flags)}
    distance = None if answer.distance is None else round(answer.distance, 6)
    row = {"file": picture.file, "status": picture.status, **dict(zip(COLUMNS[2:8], values, strict=False))}
    return dict.fromkeys(COLUMNS) | row | texts | {"distance": distance}


def as_csv(answers: Sequence[Answer]) -> str:
    """Return a line for every file, under the column names."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(row_of, answers))
    return text.getvalue()


def as_json(answers: Sequence[Answer]) -> str:
    """Return a list with an object for every file."""
    return json.dumps([row_of(answer) for answer in answers], indent=1, ensure_ascii=False) + "\n"


def as_table(answers: Sequence[Answer]) -> str:
    """Return a table for people: a line for every file."""
    rows = [_cells(answer) for answer in answers]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _cells(answer: Answer) -> list[str]:
    picture = answer.picture
    file = picture.file if len(picture.file) <= LONGEST else "…" + picture.file[1 - LONGEST :]
    if picture.status != OK:
        return [file, "–", "", f"not done: {picture.status}"]
    (first, probability), *others = answer.choices
    also = ", ".join(f"{name} {percent(share)}" for name, share in others)
    remarks = [f"unsure: {reason}" for reason in answer.unsure]
    remarks += [flag for flag in picture.flags if flag not in answer.unsure]
    return [file, f"{first} {percent(probability)}", also, "; ".join(remarks)]


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        InputError: It cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"--output {path}: cannot be written ({error.strerror})") from None
    finally:
        with contextlib.suppress(OSError):  # of a name too long for a file, too
            temporary.unlink()


def write_sheet(path: Path, answers: Sequence[Answer], title: str) -> None:
    """Draw the contact sheet of the first pictures, with all files that gave none below.

    Raises:
        InputError: The file cannot be written.
    """
    done = [answer for answer in answers if answer.picture.status == OK]
    failed = [f"{a.picture.file}: {a.picture.status}" for a in answers if a.picture.status != OK]
    cards = [_card(answer) for answer in done if answer.picture.thumbnail is not None][:SHEET]
    shown = "" if len(cards) == len(done) else f"; the first {len(cards)} are shown"
    try:
        figures.save(contact_sheet(cards, title + shown, failed), path)
    except OSError as error:
        raise InputError(f"--sheet {path}: cannot be written ({error.strerror})") from None


def _card(answer: Answer) -> Card:
    picture = answer.picture
    assert picture.thumbnail is not None
    assert picture.image is not None
    notes = [flag for flag in picture.flags if flag not in answer.unsure]
    return Card(picture.file, picture.thumbnail, picture.image, answer.choices, answer.unsure, notes)
