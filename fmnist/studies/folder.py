"""The folder of a study: where it is, and the command that it was begun with."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from fmnist.core.errors import InputError, quoted, reports_unwritable
from fmnist.core.files import to_json, write_file
from fmnist.core.runs import STUDIES, check_name

RECORD = "study.json"


def study_folder(logs: str, name: str, resumed: str | None) -> Path:
    """Return the folder of a study, which need not exist yet; ``resumed`` is the value of ``--resume``.

    Raises:
        InputError: The name is no plain folder name, or the folder is not the one that is resumed.
    """
    check_name(name, "--study")
    folder = Path(logs) / STUDIES / name
    if resumed is not None and folder.resolve() != Path(resumed).resolve():
        raise InputError(
            f"--resume {quoted(resumed)}: its command leads to {quoted(folder)}; start it from the same "
            "working directory, and leave the folder where it was"
        )
    return folder


def save_command(folder: Path, arguments: Sequence[str]) -> None:
    """Keep the command line of a study in its folder, which is created, for ``--resume``.

    Raises:
        InputError: The folder cannot be written.
    """
    kept, storage = _without_storage(arguments)
    with reports_unwritable(f"--logs {quoted(folder.parents[1])}"):
        write_file(folder / RECORD, to_json({"name": folder.name, "arguments": kept, "storage": storage}))


def _without_storage(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """Return a command line without a database address that holds a password, and what to show of that."""
    kept: list[str] = []
    storage = None
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag == "--storage":
            value = value if equals else next(words, "")
            if (hidden := without_password(value)) != value:
                storage = hidden
                continue
            kept += [flag, value]
        else:
            kept.append(word)
    return kept, storage


def without_password(url: str) -> str:
    """Return a database URL with asterisks for its password, before the host or as a parameter.

    A question mark in a password is written as ``%3F``.
    """
    address, mark, query = url.partition("?")
    address = re.sub(r"(://[^:/@]*):.*(@)", r"\1:***\2", address)
    return address + mark + re.sub(r"(?i)((?:^|&)(?:password|passwd|pwd)=)[^&]*", r"\1***", query)


def arguments_of(folder: str, others: Sequence[str]) -> list[str]:
    """Return the command line of the study that ``--resume folder`` continues; others are further flags.

    Raises:
        InputError: There is no such study, or its database must be named again.
    """
    path = Path(folder) / RECORD
    try:
        record = json.loads(path.read_text())
        arguments, storage = [str(word) for word in record["arguments"]], record.get("storage")
    except OSError as error:
        raise InputError(f"--resume {quoted(folder)}: is no study ({RECORD}: {error.strerror})") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"--resume {quoted(folder)}: its {RECORD} is damaged") from None
    if storage and not any(word.partition("=")[0] == "--storage" for word in others):
        raise InputError(f"--resume {quoted(folder)}: its trials are in {storage}; give --storage URL, too")
    return arguments
