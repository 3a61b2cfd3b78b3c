"""Prepare pictures, classify them, and write or print the answers."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from fmnist.core.constants import LEAST_PROBABILITY
from fmnist.core.errors import InputError, exits_on_sigterm, quoted, reports_unwritable
from fmnist.core.files import check_output, to_json, write_file
from fmnist.core.runs import Run
from fmnist.core.tables import Column, Row, Table, counted, rounded_down
from fmnist.inference.answers import Answer, picture_classifier
from fmnist.inference.predictor import Predictor
from fmnist.pictures import find_other_files, find_pictures, prepare_files, printable
from fmnist.pictures.parallel import OK

KEYS = (
    "file", "status", "class", "probability", "second", "second_probability", "third", "third_probability",
    "unsure", "flags", "distance",
)  # fmt: skip
OUTPUTS = (".csv", ".json")
SHEET_CARDS = 60
OTHERS_NAMED = 20  # files of folders that are no pictures
LONGEST_NAME = 48  # characters of a file's path in the terminal


def predict(
    run: Run,
    pictures: Sequence[str],
    *,
    output: str | None = None,
    sheet: str | None = None,
    stages: str | None = None,
    threshold: float = LEAST_PROBABILITY,
    root: str = "data",
) -> None:
    """Classify files and folders of pictures; print the answers or write them, as ``predict.py --help`` says.

    Raises:
        InputError: A flag has a wrong value, the run's model cannot be loaded, a file cannot be written, or
            no picture could be prepared.
    """
    paths = find_pictures([Path(path) for path in pictures])
    _check_flags(output, sheet, stages, paths)
    classifier, notes = picture_classifier(Predictor(run), root, threshold)
    for note in others_note(find_other_files([Path(path) for path in pictures])) + notes:
        print(f"note: {note}", file=sys.stderr)
    with exits_on_sigterm():
        prepared = prepare_files(
            paths, Path(stages) if stages else None, thumbnails=SHEET_CARDS if sheet else 0
        )
        answers = list(tqdm(classifier(prepared), "predict", total=len(paths), unit="picture", disable=None))

    answered = [answer for answer in answers if answer.choices]
    unsure = sum(bool(answer.unsure) for answer in answered)
    done = f"{len(answered):,} of {counted(len(answers), 'picture')} done, {unsure:,} unsure"
    summary = f"{run_name(run)}: {done}"
    table = table_of(answers)
    if output:
        write_answers(table, output)
    else:
        print(table.text())
    if sheet:
        write_sheet(answers, summary, sheet)
    if not answered:
        first = answers[0].picture
        raise InputError(f"no picture could be done; the first, {quoted(first.file)}: {first.status}")
    print("; ".join([summary, *map(quoted, filter(None, (output, sheet, stages)))]))


def run_name(run: Run) -> str:
    """Return a run's name, with its version unless it is shipped."""
    return str(run.record.get("name")) + ("" if run.is_shipped else f"/{run.path.resolve().name}")


def _check_flags(output: str | None, sheet: str | None, stages: str | None, pictures: Sequence[Path]) -> None:
    """Refuse before any work what would fail after it."""
    if output:
        check_output(f"--output {quoted(output)}", Path(output), OUTPUTS)
    if sheet:
        check_output(f"--sheet {quoted(sheet)}", Path(sheet), (".png",))
        if os.path.realpath(sheet) in map(os.path.realpath, pictures):
            raise InputError(
                f"--sheet {quoted(sheet)}: is one of the pictures and would be overwritten; choose another"
            )
    if stages:
        with reports_unwritable(f"--stages {quoted(stages)}"):
            Path(stages).mkdir(parents=True, exist_ok=True)


def others_note(others: Sequence[Path], reason: str = "because of the names' endings") -> list[str]:
    """Return a line on the files of folders that are no pictures, if any; the first ones by name."""
    names = ", ".join(quoted(printable(path)) for path in others[:OTHERS_NAMED])
    more = ", ..." * (len(others) > OTHERS_NAMED)
    line = f"not looked at, {reason}: {names}{more} ({len(others):,} in all)"
    return [line] if others else []


def table_of(answers: Sequence[Answer]) -> Table:
    """Return a row for each file; the columns are those of the terminal."""
    columns = (
        Column("file", "file", _file_text),
        Column("class", "class", _choice),
        Column("next likeliest", "second", _next_text),
        Column("remarks", "status", _remarks),
    )
    return Table("answers", "Answers", columns, [row_of(answer) for answer in answers])


def row_of(answer: Answer) -> Row:
    """Return the values of an answer, by ``KEYS``."""
    picture = answer.picture
    choices = [value for name, probability in answer.choices for value in (name, round(probability, 6))]
    return dict.fromkeys(KEYS) | {
        "file": picture.file,
        "status": picture.status,
        **dict(zip(KEYS[2:8], choices, strict=False)),  # none for a file without an image
        "unsure": "; ".join(answer.unsure),
        "flags": "; ".join(picture.flags),
        "distance": None if answer.distance is None else round(answer.distance, 6),
    }


def _file_text(row: Row) -> str:
    file = row["file"]
    return file if len(file) <= LONGEST_NAME else "…" + file[1 - LONGEST_NAME :]


def _next_text(row: Row) -> str:
    return ", ".join(_choice(row, key, f"{key}_probability") for key in ("second", "third"))


def _choice(row: Row, key: str = "class", probability: str = "probability") -> str:
    return f"{row[key]} {rounded_down(row[probability], in_percent=True)}"


def _remarks(row: Row) -> str:
    """Return the reason why there is no answer, or why it is unsure, and the picture's other problems."""
    if row["status"] != OK:
        return f"not done: {row['status']}"
    unsure, flags = (row[key].split("; ") if row[key] else [] for key in ("unsure", "flags"))
    return "; ".join(
        [f"unsure: {reason}" for reason in unsure] + [flag for flag in flags if flag not in unsure]
    )


def write_answers(table: Table, path: str) -> None:
    """Write all values as CSV or JSON, as the path's suffix says."""
    content = table.csv() if path.lower().endswith(".csv") else to_json(table.rows, indent=1)
    with reports_unwritable(f"--output {quoted(path)}"):
        write_file(Path(path), content)


def write_sheet(answers: Sequence[Answer], title: str, path: str) -> None:
    """Draw a contact sheet of the first pictures, and a list of all files without an answer."""
    from fmnist import figures  # half a second that only a sheet needs
    from fmnist.figures.contact_sheet import Card, contact_sheet

    answered = [answer for answer in answers if answer.choices]
    cards = [
        Card(file.file, file.thumbnail, file.image, answer.choices, answer.unsure, answer.notes)
        for answer in answered[:SHEET_CARDS]
        if (file := answer.picture).thumbnail is not None and file.image is not None
    ]
    failed = [(answer.picture.file, answer.picture.status) for answer in answers if not answer.choices]
    if len(cards) < len(answered):
        title += f"; the first {len(cards)} are shown"
    with reports_unwritable(f"--sheet {quoted(path)}"):
        figures.save(contact_sheet(cards, title, failed), path)
