"""Copies of shipped networks."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fmnist.core import files, shipped


def test_of_two_who_want_a_copy_one_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def write_slowly(path: Path, content: bytes) -> None:
        time.sleep(0.02)
        written.append(path)
        files.write_file(path, content)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "write_file", write_slowly)
    folder = shipped.FOLDER / "lenet5"
    with ThreadPoolExecutor(2) as pool:
        copies = set(pool.map(shipped.copy_shipped, [folder, folder]))
    assert copies == {Path("logs", "pretrained", "lenet5")}
    originals = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert sorted(written) == sorted(next(iter(copies)) / path for path in originals)
