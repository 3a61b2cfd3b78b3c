"""What ``scripts/predict.py`` does: find pictures, prepare them, ask the run, say and write the answers."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tqdm import tqdm

from fmnist.core.errors import InputError, exits_on_sigterm
from fmnist.core.runs import Run
from fmnist.inference.answers import Answer, answer, find_temperature
from fmnist.inference.detection import Detector, find_detector
from fmnist.inference.listing import SHEET, as_csv, as_json, as_table, write_sheet, write_text
from fmnist.inference.predictor import Predictor
from fmnist.inference.preparing import OK, prepare_files
from fmnist.pictures import find_pictures

WRITERS: dict[str, Callable[[Sequence[Answer]], str]] = {".csv": as_csv, ".json": as_json}


def predict(run: Run, options: argparse.Namespace) -> None:
    """Predict as the command line says.

    Args:
        run: What is asked.
        options: The other flags of ``scripts/predict.py``.

    Raises:
        InputError: A flag has a wrong value, the run's model cannot be loaded, or no picture was done.
    """
    check(options)
    paths = find_pictures([Path(path) for path in options.pictures])
    _check_sheet(options.sheet, paths)
    predictor = Predictor(run)
    temperature, detector = find_temperature(run), find_detector(predictor, options.root)
    for note in _notes(run, temperature, detector):
        print(f"note: {note}", file=sys.stderr)
    stages = None if options.stages is None else Path(options.stages)
    with exits_on_sigterm():
        pictures = prepare_files(paths, options.cut_out, stages, SHEET if options.sheet else 0)
        answering = answer(predictor, pictures, temperature or 1.0, detector, options.threshold)
        answers = list(tqdm(answering, "predict", total=len(paths), unit="picture", disable=None))
    _deliver(answers, options, f"{run.record.get('name')}/{run.path.resolve().name}")


def check(options: argparse.Namespace) -> None:
    """Refuse before any work what could not be written or done at its end.

    Raises:
        InputError: A flag has a wrong value.
    """
    if not 0 <= options.threshold <= 1:
        raise InputError(f"--threshold {options.threshold:g}: must lie between 0 and 1")
    for flag, suffixes in (("output", tuple(WRITERS)), ("sheet", (".png",))):
        if value := getattr(options, flag):
            _check_file(f"--{flag} {value}", Path(value), suffixes)
    if options.stages is not None:
        try:
            Path(options.stages).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--stages {options.stages}: cannot be made ({error.strerror})") from None


def _check_file(flag: str, path: Path, suffixes: tuple[str, ...]) -> None:
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{flag}: must end in {' or '.join(suffixes)}")
    if os.path.isdir(path):
        raise InputError(f"{flag}: is a folder")
    if not os.path.isdir(path.parent) or not os.access(path.parent, os.W_OK):
        raise InputError(f"{flag}: {path.parent} is no folder that can be written")


def _check_sheet(sheet: str | None, pictures: Sequence[Path]) -> None:
    """Refuse to draw over one of the pictures."""
    if sheet is not None and os.path.realpath(sheet) in map(os.path.realpath, pictures):
        raise InputError(f"--sheet {sheet}: is one of the pictures, and would be overwritten; name another")


def _notes(run: Run, temperature: float | None, detector: Detector | None) -> list[str]:
    notes = []
    if "decision" in str(run.record.get("scores")):
        notes.append(
            "this estimator has no probabilities; those shown rank the classes, and are much the same for "
            "every picture"
        )
    if temperature is None:
        notes.append("this run has no validation images, so its probabilities are not calibrated")
    if detector is None:
        notes.append("neither data nor validation images are there to tell what the run was not trained on")
    elif detector.note:
        notes.append(detector.note)
    return notes


def _deliver(answers: list[Answer], options: argparse.Namespace, name: str) -> None:
    done = [answer for answer in answers if answer.picture.status == OK]
    unsure = sum(bool(answer.unsure) for answer in done)
    summary = f"{name}: {len(done):,} of {len(answers):,} pictures done, {unsure:,} unsure"
    if options.output:
        write_text(Path(options.output), WRITERS[Path(options.output).suffix.lower()](answers))
        summary += f"; {options.output}"
    else:
        print(as_table(answers))
    if options.sheet:
        write_sheet(Path(options.sheet), answers, summary.partition(";")[0])
        summary += f"; {options.sheet}"
    if options.stages:
        summary += f"; {options.stages}"
    if not done:
        raise InputError(f"no picture could be done; {_reasons(answers)}")
    print(summary)


def _reasons(answers: list[Answer]) -> str:
    first = answers[0].picture
    return f"the first, {first.file}: {first.status}"
