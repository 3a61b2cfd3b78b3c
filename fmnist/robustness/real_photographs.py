"""The files that `scripts/evaluate.py --photographs` leaves in a run folder: write and read them."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from tqdm import tqdm

from fmnist import figures
from fmnist.core.commands import shell_command
from fmnist.core.errors import exits_on_sigterm, quoted, reports_unwritable
from fmnist.core.files import to_json, write_file
from fmnist.core.runs import Run
from fmnist.core.tables import Table, counted
from fmnist.figures.contact_sheet import Card, contact_sheet
from fmnist.inference.answers import picture_classifier
from fmnist.inference.predict import others_note
from fmnist.inference.predictor import Predictor
from fmnist.pictures import (
    LabelledFolder,
    PreparedFile,
    make_thumbnail,
    prepare_files,
    printable,
    read_labelled_folder,
    read_picture,
)
from fmnist.robustness import photograph_tables
from fmnist.robustness.labelled_answers import LabelledAnswers

FOLDER = "photographs"  # in the run folder
SHEETS = {"sample": "A sample", "errors": "The most confident errors, sure ones first"}
"""Contact sheets by the ends of their names."""
SHEET_CARDS = 18


@dataclass(frozen=True)
class PreparedFolder:
    """Labelled photographs, prepared once for all runs.

    Attributes:
        name: Of its files in a run folder.
        labelled: The photographs and the classes that are right for them.
        sha256: Digest of the photographs.
        prepared: The result for each photograph.
    """

    name: str
    labelled: LabelledFolder
    sha256: str
    prepared: Sequence[PreparedFile]


def prepare_photographs(folder: str, classes: str | None = None) -> PreparedFolder:
    """Read and prepare labelled photographs, with a bar, and notes on what is left out, on standard error.

    Args:
        folder: Its subfolders are classes, see `fmnist.pictures.read_labelled_folder`.
        classes: YAML file that maps subfolders. Its stem names the set; without it, the folder's name does.

    Raises:
        InputError: The folder or the mapping is not as it should be.
    """
    mapping = Path(classes) if classes else None
    labelled = read_labelled_folder(Path(folder), mapping, "--photographs", "--classes")
    left_out = ", ".join(map(quoted, labelled.left_out))
    notes = [f"left out by {quoted(mapping)}: {left_out}"] if left_out else []
    for note in notes + others_note(
        labelled.others, "because of the names' endings, or outside of the subfolders"
    ):
        print(f"note: {note}", file=sys.stderr)
    with exits_on_sigterm():
        files = prepare_files(labelled.files)
        total = len(labelled.files)
        prepared = list(tqdm(files, "photographs", total=total, unit="picture", disable=None))
    name = printable(Path(mapping.stem if mapping else Path(folder).resolve().name))
    return PreparedFolder(name, labelled, labelled.sha256(), prepared)


def write_photographs(run: Run, photographs: PreparedFolder, root: str = "data") -> dict[str, Any]:
    """Measure a run on labelled photographs; return the content of ``photographs/NAME.json``.

    Writes that file, the answers as ``NAME.csv``, and contact sheets of a sample and of the most confident
    errors into the run folder.

    Args:
        run: The run.
        photographs: The photographs.
        root: Folder of the data set.

    Raises:
        InputError: The run's model cannot be loaded, or its folder cannot be written.
    """
    labelled = photographs.labelled
    classifier, notes = picture_classifier(Predictor(run), root)
    answers = LabelledAnswers(labelled, list(classifier(photographs.prepared)))
    measured = {
        "name": photographs.name,
        "folder": printable(Path(labelled.path.resolve().name)),
        "sha256": photographs.sha256,
        "left_out": list(labelled.left_out),
        "other_files": len(labelled.others),
        "notes": notes,
        **answers.measure(),
    }
    with reports_unwritable(quoted(run.path)):
        write_file(_path(run, f"{photographs.name}.json"), to_json(measured))
        rows = answers.rows()
        write_file(_path(run, f"{photographs.name}.csv"), Table(FOLDER, "Answers", (), rows).csv())
        sheets = _draw_sheets(answers, f"{run.record.get('name')} on {photographs.name}")
        for kind in SHEETS:
            path = _path(run, f"{photographs.name}-{kind}.png")
            if kind in sheets:
                figures.save(sheets[kind], path)
            else:
                path.unlink(missing_ok=True)
    return measured


def _path(run: Run, name: str) -> Path:
    return run.path / FOLDER / name


def _draw_sheets(answers: LabelledAnswers, name: str) -> dict[str, Figure]:
    """Draw a sample, with all files without an answer, and the most confident errors."""
    failed = [(row["file"], row["reason"]) for row in answers.unanswered()]
    sample = [_card(answers, number) for number in answers.sample(SHEET_CARDS)]
    errors = answers.errors()
    worst = [_card(answers, number) for number in errors[:SHEET_CARDS]]
    title = f"{name}: the {len(worst)} most confident of {counted(len(errors), 'error')}"
    sheets = {"sample": contact_sheet(sample, f"{name}: a sample", failed)}
    return sheets | ({"errors": contact_sheet(worst, title)} if worst else {})


def _card(answers: LabelledAnswers, number: int) -> Card:
    """Return the card of a photograph with an answer, which says what is right."""
    answer, names = answers.answers[number], answers.right_names(answers.labelled.folders[number])
    assert answer.picture.image is not None, "it was prepared"
    verdict = "right" if answers.right[number] else f"is {' or '.join(names) or 'foreign'}"
    thumbnail = make_thumbnail(read_picture(answers.labelled.files[number]))
    return Card(
        answers.name(number),
        thumbnail,
        answer.picture.image,
        answer.choices,
        answer.unsure,
        [verdict, *answer.notes],
    )


def read_photographs(run: Run) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the content of each ``photographs/*.json`` of a run, and a line for each damaged one."""
    measured, damaged = [], []
    for path in sorted((run.path / FOLDER).glob("*.json")):
        try:
            content = json.loads(path.read_bytes())
            if content["name"] != path.stem:
                raise ValueError(f"is of {content['name']}")
            for table in [
                *photograph_tables.run_tables(content),
                *photograph_tables.comparison_tables({"": [content]}),
            ]:
                table.text()  # these use all that must be there
            photograph_tables.summary(content), photograph_tables.key_figures(content), content["confusion"]
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            again = shell_command("evaluate", str(run.path), "--photographs", "FOLDER")
            damaged.append(
                f"{quoted(path)}: is damaged ({error!r}); to write it anew: {again}, "
                "and --classes FILE.yaml if that named it"
            )
        else:
            measured.append(content)
    return measured, damaged


def find_sheets(run: Run, name: str) -> dict[str, Path]:
    """Return the contact sheets of a set that are there, by their titles."""
    paths = {title: _path(run, f"{name}-{kind}.png") for kind, title in SHEETS.items()}
    return {title: path for title, path in paths.items() if path.is_file()}
