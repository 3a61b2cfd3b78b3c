"""The four files: where they are searched, how they are verified, read and downloaded."""

import gzip
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.datasets.mnist import read_image_file, read_label_file

from fmnist.core.errors import InputError
from fmnist.core.files import LOCK
from fmnist.data import download, source
from tests.machine import heed_signals

IMAGES = "train-images-idx3-ubyte"
LABELS = "t10k-labels-idx1-ubyte"
PROCESS = """
import json, sys
from pathlib import Path
from fmnist.data import download, source
source.DEBIAN_FOLDER = Path("nowhere")
source.PUBLISHED.update(json.loads(sys.argv[1]))
source.main(["--root", sys.argv[2]])
"""


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide all data sets and mirrors but the test's own."""
    monkeypatch.setattr(source, "DEBIAN_FOLDER", tmp_path / "no-package")
    monkeypatch.setenv("FMNIST_MIRROR", "http://127.0.0.1:9")
    monkeypatch.delenv("FMNIST_DATA", raising=False)


@pytest.fixture
def folder(synthetic_root: Path, tmp_path: Path) -> Path:
    """Return a copy of the drawn set that a test may alter."""
    return shutil.copytree(synthetic_root, tmp_path / "set")


@pytest.fixture
def published(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the drawn set, taken for the published one."""
    for line in (folder / source.SUMS).read_text().splitlines():
        monkeypatch.setitem(source.PUBLISHED, line.split()[1], line.split()[0])
    (folder / source.SUMS).unlink()
    return folder


@dataclass
class Mirror:
    """A server of the published set.

    Attributes:
        url: Its address.
        seconds: How long each answer stops within.
        requested: The paths requested so far.
        goes_on: Not set, all answers but the first stop within.
    """

    url: str = ""
    seconds: float = 0.0
    requested: list[str] = field(default_factory=list)
    goes_on: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def mirror(published: Path) -> Iterator[Mirror]:
    """Serve the published set."""
    served = Mirror()
    served.goes_on.set()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(published))

        def copyfile(self, source: Any, outputfile: Any) -> None:
            served.requested.append(self.path)
            data = source.read()
            outputfile.write(data[:20])
            outputfile.flush()
            time.sleep(served.seconds)
            if len(served.requested) > 1:
                served.goes_on.wait()
            outputfile.write(data[20:])

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        served.url = f"http://127.0.0.1:{server.server_port}/"
        yield served
        served.goes_on.set()
        server.shutdown()


def start(url: str, root: Path) -> "subprocess.Popen[str]":
    """Start the command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, json.dumps(source.PUBLISHED), str(root)],
        env=os.environ | {"FMNIST_MIRROR": url}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=heed_signals,
    )  # fmt: skip


def unzip(path: Path) -> Path:
    raw = path.with_suffix("")
    raw.write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    return raw


def test_raw_and_gzip_files_give_what_torchvision_reads(folder: Path) -> None:
    packed = source.load(folder)
    raw = {path.stem: unzip(path) for path in sorted(folder.glob("*.gz"))}
    loose = source.load(folder)
    assert packed.sha256 == loose.sha256
    assert packed.sha256[IMAGES] == hashlib.sha256(raw[IMAGES].read_bytes()).hexdigest()
    for data in (packed, loose):
        assert data.train_images.dtype == data.test_images.dtype == torch.uint8
        assert data.train_labels.dtype == data.test_labels.dtype == torch.int64
        torch.testing.assert_close(data.train_images, read_image_file(str(raw[IMAGES])))
        torch.testing.assert_close(data.test_labels, read_label_file(str(raw[LABELS])))
        data.train_images.zero_()  # the memory is the caller's


def test_the_order_of_the_folders(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert source.find(tmp_path / "data") is None
    package = shutil.copytree(folder, tmp_path / "package")
    monkeypatch.setattr(source, "DEBIAN_FOLDER", package)
    assert source.find(tmp_path / "data") == package
    named = shutil.copytree(folder, tmp_path / "named")
    monkeypatch.setenv("FMNIST_DATA", str(named))
    assert source.find(tmp_path / "data") == named
    assert source.find(folder) == folder


def test_a_set_with_sums_of_its_own_is_noticed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    source.load(folder)
    assert "not the published Fashion-MNIST" in caplog.text
    (folder / source.SUMS).write_text("nonsense\n")
    with pytest.raises(InputError, match=f"{source.SUMS}: no line for"):
        source.load(folder)


def test_a_missing_file_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / f"{LABELS}.gz").unlink()
    with pytest.raises(InputError, match=rf"{LABELS}.* is missing.*make data.*apt install.*--data\.root"):
        source.load(folder)
    monkeypatch.setenv("FMNIST_DATA", str(folder))
    with pytest.raises(InputError, match=rf"\$FMNIST_DATA .*{LABELS}"):
        source.load(tmp_path / "data")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-100], "truncated or altered, it cannot be decompressed"),
        (lambda data: gzip.compress(b"other"), "truncated or altered, SHA-256 d9298a10d1b0 of 5 bytes"),
        (lambda data: b"", "not a gzip file"),
        (lambda data: b"<html>not here</html>", "not a gzip file"),
        (lambda data: gzip.compress(b"MNIST"), "this is MNIST, not Fashion-MNIST"),
        (
            lambda data: gzip.compress(b"\0\0\x08\x03" + b"\0\0\0\x02" * 3 + b"\x07" * 8),
            r"holds other data than Fashion-MNIST \(SHA-256 .*\), and only Fashion-MNIST is read",
        ),
        (lambda data: gzip.compress(b"\0\0\x08\x03" + b"\0\0\0\x02" * 3 + b"\x07" * 7), "truncated or"),
    ],
)
def test_an_altered_file_is_refused(
    published: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[bytes], bytes], message: str
) -> None:
    path = published / f"{IMAGES}.gz"
    path.write_bytes(spoil(path.read_bytes()))
    monkeypatch.setattr(source, "MNIST", {hashlib.sha256(b"MNIST").hexdigest()})
    with pytest.raises(InputError, match=rf"{IMAGES}\.gz: {message}"):
        source.load(published)


@pytest.mark.parametrize("name", [f"{IMAGES}.gz", None])
def test_folders_and_files_that_cannot_be_used(
    published: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    def refuse(*args: Any) -> None:
        raise PermissionError(13, "Permission denied")

    (published / "file").touch()
    with pytest.raises(InputError, match="file: cannot be written"):
        source.fetch(published / "file")
    where, function = (Path, "read_bytes") if name else (os, "listdir")
    monkeypatch.setattr(where, function, refuse)
    with pytest.raises(InputError, match=rf"{name or published.name}: cannot be read \(Permission denied\)"):
        source.load(published)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\x0d\x01\0\0\0\x04" + b"\0" * 16, "no idx file of unsigned bytes"),
        (b"\0\0\x08\x01\0\0\0\x05" + b"\0" * 4, "no idx file of unsigned bytes"),
        (b"\0\0\x08\x01\0\0\0\x04" + b"\0" * 4, r"must be \(N, 28, 28\)"),
        (b"\0\0\x08\x01\0\0\0\xc8" + b"\x0a" * 200, r"label 10, must lie in 0\.\.9"),
    ],
)
def test_a_set_of_ones_own_must_hold_images_and_labels(folder: Path, content: bytes, message: str) -> None:
    sums = folder / source.SUMS
    old = next(line.split()[0] for line in sums.read_text().splitlines() if LABELS in line)
    sums.write_text(sums.read_text().replace(old, hashlib.sha256(content).hexdigest()))
    (folder / f"{LABELS}.gz").write_bytes(gzip.compress(content))
    with pytest.raises(InputError, match=message):
        source.load(folder)


def test_four_starts_make_one_download(mirror: Mirror, tmp_path: Path) -> None:
    mirror.seconds = 0.3  # so that the others come while one downloads
    processes = [start(mirror.url, tmp_path / "data") for _ in range(4)]
    for process in processes:
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert "verified" in output
        assert "B/s" not in errors, "a progress bar without a terminal"
    expected = sorted(f"{name}.gz" for name in source.PUBLISHED)
    assert sorted(mirror.requested) == [f"/{name}" for name in expected]
    assert sorted(path.name for path in (tmp_path / "data").glob("[!.]*")) == expected


def test_an_interrupted_download_leaves_nothing(mirror: Mirror, tmp_path: Path) -> None:
    mirror.goes_on.clear()
    process = start(mirror.url, tmp_path / "data")
    while len(mirror.requested) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    assert process.returncode == 130
    assert {path.name for path in (tmp_path / "data").iterdir()} <= {LOCK}


def test_a_download_after_one_that_was_killed(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FMNIST_MIRROR", mirror.url.rstrip("/"))
    left = tmp_path / "data" / source.DOWNLOADING
    left.mkdir(parents=True)
    (left / f"{IMAGES}.gz").write_bytes(b"half")
    assert source.load(tmp_path / "data").train_images.shape == (600, 28, 28)
    assert not left.exists()


def test_a_download_that_was_killed_hides_no_files_elsewhere(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FMNIST_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setenv("FMNIST_DATA", str(published))
    (tmp_path / "data" / source.DOWNLOADING).mkdir(parents=True)
    assert source.find(tmp_path / "data") == published
    assert source.fetch(tmp_path / "data") == published
    whole = shutil.copytree(published, tmp_path / "whole")
    (whole / source.DOWNLOADING).mkdir()
    assert source.find(whole) == whole


def test_a_download_that_was_killed_while_it_moved_its_files(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FMNIST_MIRROR", mirror.url)
    folder = source.fetch(tmp_path / "data")
    (folder / f"{LABELS}.gz").unlink()
    (folder / source.DOWNLOADING).mkdir()
    assert source.load(source.fetch(folder)).train_images.shape == (600, 28, 28)
    (folder / f"{LABELS}.gz").unlink()  # by hand
    with pytest.raises(InputError, match=rf"{LABELS}, raw or \.gz, is missing"):
        source.fetch(folder)


@pytest.mark.parametrize("wrong", [gzip.compress(b"other", mtime=0), None], ids=["wrong", "missing"])
def test_a_mirror_with_wrong_or_missing_files_is_refused(
    mirror: Mirror,
    published: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: bytes | None,
) -> None:
    monkeypatch.setenv("FMNIST_MIRROR", mirror.url)
    (published / f"{LABELS}.gz").unlink()
    if wrong:
        (published / f"{LABELS}.gz").write_bytes(wrong)
    reason = rf"{LABELS}\.gz: truncated or altered" if wrong else "404"
    with pytest.raises(InputError, match=rf"none can be downloaded.*{reason}"):
        source.fetch(tmp_path / "data")
    assert not list((tmp_path / "data").glob("*ubyte*"))


def test_debians_package_follows_the_mirrors(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def fake(place: str, names: list[str], into: Path) -> list[Path]:
        tried.append(place)
        if place != source.DEBIAN_PACKAGE:
            raise OSError("unreachable")
        return [Path(shutil.copy(published / f"{name}.gz", into)) for name in names]

    monkeypatch.delenv("FMNIST_MIRROR")
    monkeypatch.setattr(source, "download", fake)
    assert source.fetch(tmp_path / "data") == tmp_path / "data"
    assert tried == [*source.MIRRORS, source.DEBIAN_PACKAGE]


def test_debians_package_needs_apt_and_a_failed_command_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match=r"ls failed: .*nowhere"):
        download._run(["ls", "nowhere"], tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(OSError, match="no apt-get"):
        download.download(download.DEBIAN_PACKAGE, ["images"], tmp_path)


def test_the_command_line_says_where_it_searched_and_what_to_do(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    message = rf"error: {tmp_path}/data: .*http://127\.0\.0\.1:9.*{re.escape(source.WAYS)}\n"
    assert re.fullmatch(message, refused(source.main, "--root", tmp_path / "data"))


@pytest.mark.real_data
def test_published_files(real_data: Path) -> None:
    data = source.load(real_data)
    assert data.train_images.shape == (60000, 28, 28)
    assert data.test_images.shape == (10000, 28, 28)
    assert torch.bincount(data.train_labels).tolist() == [6000] * 10
    assert torch.bincount(data.test_labels).tolist() == [1000] * 10
