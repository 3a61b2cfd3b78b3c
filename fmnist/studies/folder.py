"""The folder of a study: where it is, and the command that it was begun with."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from fmnist.core.errors import InputError, quoted, reports_unwritable
from fmnist.core.files import to_json, write_file
from fmnist.core.runs import check_name

RECORD = "study.json"
STUDIES = "studies"
"""Folder of all studies, below that of all runs; too deep for ``compare.py LOGS`` to look into."""


def open_folder(logs: str, name: str, arguments: Sequence[str], keeps_first: bool = False) -> Path:
    """Return the folder of a study, and create it with the command that begins it.

    Args:
        logs: Folder of all runs.
        name: Of the study.
        arguments: The command line without the program.
        keeps_first: Whether the command of a folder that is there already stays.

    Raises:
        InputError: The name is no plain folder name, or the folder cannot be written.
    """
    try:
        check_name(name)
    except InputError as error:
        raise InputError(str(error).replace("--name", "--study")) from None
    folder = Path(logs) / STUDIES / name
    with reports_unwritable(f"--logs {quoted(logs)}"):
        folder.mkdir(parents=True, exist_ok=True)
        if not (keeps_first and (folder / RECORD).exists()):
            kept, storage = _without_storage(arguments)
            write_file(folder / RECORD, to_json({"name": name, "arguments": kept, "storage": storage}))
    return folder


def _without_storage(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """Return a command line without a database address that holds a password, and what to show of that."""
    kept: list[str] = []
    storage = None
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag == "--storage":
            value = value if equals else next(words, "")
            if secret := re.fullmatch(r"(.*://[^:/@]*):[^@]*(@.*)", value):
                storage = f"{secret[1]}:***{secret[2]}"
                continue
            kept += [flag, value]
        else:
            kept.append(word)
    return kept, storage


def arguments_of(words: Sequence[str]) -> list[str]:
    """Return the command line that began the study of a folder.

    Args:
        words: What follows ``--resume`` on the command line.

    Raises:
        InputError: There is no such study.
    """
    if not words:
        raise InputError("--resume: expected the folder of a study, like logs/studies/cnn-search")
    path = Path(words[0]) / RECORD
    try:
        return [str(word) for word in json.loads(path.read_text())["arguments"]]
    except OSError as error:
        raise InputError(f"--resume {quoted(words[0])}: is no study ({RECORD}: {error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"--resume {quoted(words[0])}: its {RECORD} is damaged") from None
