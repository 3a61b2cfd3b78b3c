"""Files are complete or absent, whatever happens while they are written."""

import contextlib
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from fmnist.core import files
from fmnist.core.files import TEMPORARY_FILES, replacing, to_json, write_arrays, write_file


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


def test_json_has_null_for_what_is_no_number() -> None:
    content = {"a": [float("nan"), (float("inf"), 1.5)], "b": {"c": -float("inf")}, "d": "NaN", "e": None}
    expected = {"a": [None, [None, 1.5]], "b": {"c": None}, "d": "NaN", "e": None}
    assert json.loads(to_json(content), parse_constant=pytest.fail) == expected


@pytest.mark.parametrize("content", ["Größe\n", b"\0\xff", memoryview(b"abc"), ""])
def test_a_file_holds_the_content_and_its_folders_are_made(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "new" / "folders" / "file"
    for _ in range(2):  # a second time over the first
        write_file(path, content)
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else bytes(content))
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), OSError(errno.EIO, "I/O error")])
@pytest.mark.parametrize("before", [{"file": "old"}, {}])
def test_a_block_that_raises_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, before: dict[str, str], error: BaseException
) -> None:
    for name, content in before.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(type(error)), replacing(tmp_path / "file") as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert contents(tmp_path) == before


def test_arrays_come_back_and_stay_when_others_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, arrays = tmp_path / "new" / "arrays.npz", {"a": np.zeros((50, 50)), "names": np.array(["x"])}
    sizes = []
    for compress in (True, False):
        write_arrays(path, arrays, compress)
        sizes.append(path.stat().st_size)
        with np.load(path) as read:
            assert read.keys() == arrays.keys()
            assert all(np.array_equal(read[name], array) for name, array in arrays.items())
    assert 10 * sizes[0] < sizes[1]
    monkeypatch.setattr(np, "savez_compressed", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left on device"):
        write_arrays(path, {})
    assert (path.stat().st_size, os.listdir(path.parent)) == (sizes[1], ["arrays.npz"])


def test_until_the_block_ends_the_old_file_is_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert [file.name for file in tmp_path.glob(TEMPORARY_FILES)] == [temporary.name]
        write_file(path, "other")  # another thread
        assert path.read_text() == "other"
    assert path.read_text() == "new"


def failing(number: int) -> Callable[..., NoReturn]:
    def fail(*_: Any, **__: Any) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    ("where", "name"), [(Path, "write_bytes"), (Path, "mkdir"), (os, "fsync"), (os, "replace")]
)
def test_a_full_disk_names_the_file_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(where, name, failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space left on device") as full:
        write_file(path, "x" * 12_345)
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(path))
    assert name != "write_bytes" or "writing 12,345 bytes" in str(full.value)
    assert contents(tmp_path) == {"file": "old"}


def test_content_and_folder_are_flushed_around_the_replacement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    flush, replace = files._flush, os.replace
    monkeypatch.setattr(files, "_flush", lambda path: (steps.append(path.name), flush(path)))
    monkeypatch.setattr(os, "replace", lambda *paths: (steps.append("replace"), replace(*paths)))
    write_file(tmp_path / "file", "1")
    assert steps[1:] == ["replace", tmp_path.name]
    assert steps[0].endswith(".unfinished")


@pytest.mark.parametrize(
    ("number", "passes"), [(errno.EACCES, True), (errno.EINVAL, True), (errno.EIO, False)]
)
def test_a_folder_that_cannot_be_flushed_is_no_failure_but_a_broken_disk_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: bool
) -> None:
    flush, fail = files._flush, failing(number)
    monkeypatch.setattr(files, "_flush", lambda path: (fail if path.is_dir() else flush)(path))
    with contextlib.nullcontext() if passes else pytest.raises(OSError, match=os.strerror(number)):
        write_file(tmp_path / "file", "1")
    assert (tmp_path / "file").read_text() == "1"


def test_paths_that_cannot_be_files_are_errors_and_change_nothing(tmp_path: Path) -> None:
    longest = tmp_path / ("n" * 255)
    write_file(longest, "1")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / ("n" * 256), tmp_path / "folder", longest / "below"):
        with pytest.raises(OSError, match=r"File name too long|directory|exists") as refused:
            write_file(path, "2")
        assert str(refused.value.filename).startswith(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["folder", longest.name]
    assert longest.read_text() == "1"


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(tmp_path / "there" / "file")
    write_file(link, "1")
    assert link.is_symlink()
    assert (tmp_path / "there" / "file").read_text() == "1"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_file(pipe, "2")
    assert os.read(reader, 10) == b"2"
    os.close(reader)
    assert pipe.is_fifo()
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe", "there"]
