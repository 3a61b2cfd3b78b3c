"""Files that are complete or absent: the one way to write what must not be half-written or lost."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

TEMPORARY_FILES = ".*.unfinished"
"""Pattern of the files that an interrupted writing may leave beside its target."""

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


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a temporary path beside ``path``; what was written there replaces it when the block ends.

    The replacement is one step that survives a loss of power: ``path`` holds the old content or the new.
    If the block raises, the old file stays and the temporary one is removed.

    Raises:
        OSError: The folder or the file cannot be written; ``path`` is its file name.
    """
    # short, as the name of the file may be as long as a name can be
    temporary = path.parent / f".{os.getpid()}-{next(_counter)}.unfinished"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from None
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _flush(path: Path) -> None:
    """Make the operating system write a file or folder to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
