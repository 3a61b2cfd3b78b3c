"""Files that are complete or absent: the one way to write what must not be half-written or lost."""

import contextlib
import errno
import itertools
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fmnist.core.errors import InputError, quoted

TEMPORARY_FILES = ".*.unfinished"
"""Pattern of the files that an interrupted writing may leave beside its target."""

LOCK = ".lock"
"""File of a folder that a process has locked, see ``locked_folder``."""

_counter = itertools.count()


def write_file(path: Path, content: str | bytes | memoryview) -> None:
    """Write a file, creating parent folders; text becomes UTF-8.

    Raises:
        OSError: It cannot be written; the message says how many bytes were to be written, and an older
            file stays as it is.
    """
    data = content.encode() if isinstance(content, str) else content
    with replacing(path) as temporary:
        try:
            temporary.write_bytes(data)
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}, writing {len(data):,} bytes", str(path)) from None


def write_arrays(path: Path, arrays: Mapping[str, Any], compress: bool = True) -> None:
    """Write arrays by name as one file of numpy's, atomically.

    Raises:
        OSError: It cannot be written, and an older file stays as it is.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        (np.savez_compressed if compress else np.savez)(file, **arrays)


@contextlib.contextmanager
def locked_folder(folder: Path, timeout: float = -1) -> Iterator[OSError | None]:
    """Create a folder, and hold its lock during the block; the lock ends with the process, however it ends.

    Args:
        folder: The folder.
        timeout: Seconds to wait for another process that holds it; without end where negative.

    Yields:
        Why the lock is not held: a ``TimeoutError`` where another process holds it; ``None`` where it is.
    """
    from filelock import FileLock  # not every command needs it

    with contextlib.ExitStack() as stack:
        refusal = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(folder / LOCK, timeout=timeout))
        except OSError as error:
            refusal = error
        yield refusal


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """Make a hard link to a file, or a copy where that is not possible."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def to_json(content: Any, indent: int = 2) -> str:
    """Return content as JSON that every reader takes: NaN and infinity, which JSON lacks, become null."""
    return json.dumps(_without_nan(content), indent=indent, ensure_ascii=False, allow_nan=False) + "\n"


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; what was written there replaces it when the block ends.

    The replacement is one step that survives a loss of power: ``path`` holds the old content or the new.
    If the block raises, the old file stays and the temporary one is removed. A symbolic link stays, and the
    file that it points to is replaced; a device or a pipe, such as ``/dev/null``, is written directly.

    Raises:
        OSError: The folder or the file cannot be written; ``path`` is its file name.
    """
    if os.path.exists(path) and not path.is_file() and not path.is_dir():
        yield path
        return
    target = Path(os.path.realpath(path))
    # short, as the name of the file may be as long as a name can be
    temporary = target.parent / f".{os.getpid()}-{next(_counter)}.unfinished"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
        _flush_folder(target.parent)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from None
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _flush_folder(folder: Path) -> None:
    """Flush a folder where that is possible: it may be unreadable, or the system unable to do so."""
    try:
        _flush(folder)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP):
            raise


def _flush(path: Path) -> None:
    """Make the operating system write a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_output(flag: str, path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse, before any work, a file that could not be written after it.

    ``flag`` holds the flag and its value, for messages.

    Raises:
        InputError: It ends in none of the ``suffixes``, is a folder, or its folder cannot be written.
    """
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{flag}: must end in {' or '.join(suffixes)}")
    if os.path.isdir(path):
        raise InputError(f"{flag}: is a folder")
    if not os.path.isdir(path.parent) or not os.access(path.parent, os.W_OK):
        raise InputError(f"{flag}: {quoted(path.parent)} is not a folder that can be written")
