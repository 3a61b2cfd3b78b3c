"""A folder of labelled photographs: its subfolders are classes, by name or by a mapping."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError, quoted
from fmnist.core.yaml_files import read_yaml
from fmnist.pictures.reading import find_other_files, find_pictures, printable

FOREIGN = "foreign"
"""In place of a class: garments of no class of the data set, which ought to be refused."""
ALLOWED = f"{', '.join(CLASSES)}; or {FOREIGN}, for garments of none of these"
MOST_LISTED = 12  # names in a message


@dataclass(frozen=True)
class LabelledFolder:
    """The pictures of a folder, and the classes that are right for them.

    Attributes:
        path: The folder, as the user wrote it.
        files: The pictures, sorted by subfolder, then by name.
        folders: The subfolder of each picture.
        answers: For each subfolder, the class numbers that are right; none where its garments are foreign.
        left_out: Subfolders that the mapping leaves out.
        others: Files that are not looked at: they are no pictures by their names, or in no subfolder.
    """

    path: Path
    files: tuple[Path, ...]
    folders: tuple[str, ...]
    answers: dict[str, tuple[int, ...]]
    left_out: tuple[str, ...]
    others: tuple[Path, ...]

    def sha256(self) -> str:
        """Return a digest of the pictures' names below the folder and their bytes, not of the mapping."""
        digest = hashlib.sha256()
        for file in self.files:
            try:
                content = file.read_bytes() if file.is_file() else b""  # a pipe could wait for ever
            except OSError:
                content = b""  # cannot be prepared either, which says so
            name = file.relative_to(self.path).as_posix()
            digest.update(os.fsencode(name) + b"\0" + hashlib.sha256(content).digest())
        return digest.hexdigest()


def read_labelled_folder(
    folder: Path, classes: Path | None, folder_flag: str, classes_flag: str
) -> LabelledFolder:
    """Find the pictures in the subfolders of a folder, and the classes that the subfolders mean.

    A subfolder named as a class of the data set, in any case and with or without spaces, hyphens and the
    like, holds pictures of this class; one named ``foreign`` holds garments of no class. A mapping goes
    before the names. Hidden files and subfolders are left out.

    Args:
        folder: The folder.
        classes: YAML file that maps subfolders, e.g. ``pants: Trouser``; several right classes are a list,
            and null leaves a subfolder out.
        folder_flag: Name of the flag for the folder, for messages.
        classes_flag: Name of the flag for the mapping.

    Raises:
        InputError: The folder or the mapping cannot be read, a subfolder is empty or has no class, or the
            mapping names a subfolder or a class that does not exist.
    """
    where = f"{folder_flag} {quoted(folder)}"
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror})") from None
    subfolders = {printable(Path(entry.name)): entry for entry in entries if os.path.isdir(entry)}
    if not subfolders:
        raise InputError(f"{where}: has no subfolders; put the pictures of each class into a subfolder")

    mapping = {} if classes is None else _read_mapping(classes, classes_flag, subfolders)
    unknown = [name for name in subfolders if name not in mapping and _by_name(name) is None]
    if unknown:
        file = f"{classes_flag} {'FILE.yaml' if classes is None else quoted(classes)}"
        raise InputError(
            f"{where}: no class is known for {_listed(unknown)}; name a subfolder by a class ({ALLOWED}), "
            f"or map it in {file} by a line like '{unknown[0]}: Dress', or ': null' to leave it out"
        )
    meanings = {name: mapping.get(name, _by_name(name)) for name in subfolders}
    answers = {name: numbers for name, numbers in meanings.items() if numbers is not None}
    if not answers:
        raise InputError(f"{classes_flag} {quoted(classes)}: leaves out all subfolders of {quoted(folder)}")

    files: list[Path] = []
    folders: list[str] = []
    for name in answers:
        found = find_pictures([subfolders[name]])
        if found == [subfolders[name]]:
            raise InputError(
                f"{where}: subfolder {quoted(name)} holds no pictures, or cannot be read; remove it, or "
                f"leave it out by '{name}: null' in {classes_flag} FILE.yaml"
            )
        files += found
        folders += [name] * len(found)
    others = [entry for entry in entries if not os.path.isdir(entry)]
    others += find_other_files([subfolders[name] for name in answers])
    left_out = tuple(name for name in subfolders if name not in answers)
    return LabelledFolder(folder, tuple(files), tuple(folders), answers, left_out, tuple(others))


def _simplified(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


_NUMBERS = {_simplified(name): number for number, name in enumerate(CLASSES)}
_NUMBERS[_simplified("T-shirt")] = CLASSES.index("T-shirt/top")


def _by_name(name: str) -> tuple[int, ...] | None:
    """Return the class number that a name means; none where it is foreign, ``None`` where it is unknown."""
    if _simplified(name) == FOREIGN:
        return ()
    number = _NUMBERS.get(_simplified(name))
    return None if number is None else (number,)


def _read_mapping(file: Path, flag: str, subfolders: dict[str, Path]) -> dict[str, tuple[int, ...] | None]:
    """Return the class numbers of subfolders; ``None`` for those that are left out."""
    where = f"{flag} {quoted(file)}"
    mapping: dict[str, tuple[int, ...] | None] = {}
    content = {str(key): value for key, value in read_yaml(str(file), "dress", flag).items()}
    unknown = [name for name in content if name not in subfolders]
    if unknown:
        raise InputError(
            f"{where}: maps {_listed(unknown)}, and there is no such subfolder; there are "
            f"{_listed(list(subfolders))}"
        )
    for name, value in content.items():
        mapping[name] = None if value is None else _classes(value, f"{where}: {name}")
    return mapping


def _classes(value: Any, where: str) -> tuple[int, ...]:
    """Return the class numbers that an entry of the mapping names."""
    names = value if isinstance(value, list) else [value]
    found = [_by_name(str(name)) for name in names]
    unknown = [str(name) for name, numbers in zip(names, found, strict=True) if numbers is None]
    if unknown:
        raise InputError(f"{where}: unknown class {_listed(unknown)}; must be {ALLOWED}; or null")
    if len(found) != 1 and () in found:
        raise InputError(f"{where}: must hold either classes or one {FOREIGN}")
    if not found:
        raise InputError(f"{where}: names no class; must be {ALLOWED}; or null to leave the subfolder out")
    return tuple(sorted({number for numbers in found if numbers for number in numbers}))


def _listed(names: list[str]) -> str:
    """Return names as a user would paste them, the first ones of many."""
    more = [f"... ({len(names)} in all)"] if len(names) > MOST_LISTED else []
    return ", ".join([*map(quoted, names[:MOST_LISTED]), *more])
