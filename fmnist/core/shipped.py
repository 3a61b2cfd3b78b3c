"""The trained networks that are part of the package: small run folders ``fmnist/pretrained/<name>/``."""

import os
import shutil
import sys
from pathlib import Path

from fmnist.core.errors import quoted, reports_unwritable
from fmnist.core.files import locked_folder, write_file

FOLDER = Path(__file__).resolve().parents[1] / "pretrained"
COPIES = Path("logs", "pretrained")
RECORD = "run.json"


def shipped_names() -> list[str]:
    """Return the names of the shipped networks."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{RECORD}"))


def find_shipped(path: str | Path) -> Path | None:
    """Return the folder of the shipped network of a name; None for another name, or one that is a path."""
    path = Path(path)
    is_shipped = not os.path.exists(path) and path.parts == (path.name,) and path.name in shipped_names()
    return FOLDER / path if is_shipped else None


def is_shipped(path: Path) -> bool:
    """Return whether a path is the folder of a shipped network, which must not be written to."""
    return path.resolve().parent == FOLDER and path.resolve().name in shipped_names()


def copy_shipped(folder: Path) -> Path:
    """Return a copy of a shipped network that can be written to, ``logs/pretrained/<name>``.

    An installed package may be read-only, and its files are not to be changed. A copy of the same network is
    used again, one of another version of it is replaced with all that was made of it.

    Raises:
        InputError: It cannot be written.
    """
    folder = folder.resolve()
    copy = COPIES / folder.name
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    with reports_unwritable(quoted(copy)):
        if _is_copy(copy, folder):
            return copy
        with locked_folder(COPIES) as refusal:
            if refusal is not None:
                raise refusal
            if _is_copy(copy, folder):  # another process has made it in the meantime
                return copy
            shutil.rmtree(copy, ignore_errors=True)
            # the record last: without it, the folder is no run
            for path in sorted(files, key=lambda path: path.name == RECORD):
                write_file(copy / path, (folder / path).read_bytes())
            print(f"copied the shipped network to {quoted(copy)}; new files go there", file=sys.stderr)
    return copy


def _is_copy(copy: Path, folder: Path) -> bool:
    """Return whether one folder is a whole copy of another: its record is written last."""
    return (copy / RECORD).exists() and (copy / RECORD).read_bytes() == (folder / RECORD).read_bytes()
