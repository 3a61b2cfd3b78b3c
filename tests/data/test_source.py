import gzip
import hashlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from torchvision.datasets.mnist import read_image_file, read_label_file

from fmnist.core.errors import InputError
from fmnist.data import source

IMAGES = "train-images-idx3-ubyte"
LABELS = "t10k-labels-idx1-ubyte"
PUBLISHED_MD5 = {  # of the gzip files, as torchvision and the authors list them
    "train-labels-idx1-ubyte": (1504176606, "25c81989df183df01b3e8a0aad5dffbe"),
    "t10k-labels-idx1-ubyte": (1504176627, "bb300cfdad3c16e7a12a480ee83cd310"),
}

PROCESS = """
import json, sys
from pathlib import Path
from fmnist.data import source
source.DEBIAN_FOLDER = Path("nowhere")
source.PUBLISHED.update(json.loads(sys.argv[1]))
source.main(["--root", sys.argv[2]])
"""


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """Hide all data sets and mirrors but the test's own."""
    monkeypatch.setattr(source, "DEBIAN_FOLDER", tmp_path / "no-package")
    monkeypatch.setenv("FMNIST_MIRROR", "http://127.0.0.1:9")
    monkeypatch.delenv("FMNIST_DATA", raising=False)


@pytest.fixture
def folder(synthetic_root, tmp_path):
    """A copy of the drawn set that a test may spoil."""
    return shutil.copytree(synthetic_root, tmp_path / "set")


@pytest.fixture
def published(folder, monkeypatch):
    """The drawn set, taken for the published one."""
    for line in (folder / source.SUMS).read_text().splitlines():
        monkeypatch.setitem(source.PUBLISHED, line.split()[1], line.split()[0])
    (folder / source.SUMS).unlink()
    return folder


@pytest.fixture
def mirror(published):
    """A slow server of the published set: its URL, and the list of paths asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(published))

        def copyfile(self, source, outputfile):
            asked.append(self.path)
            data = source.read()
            outputfile.write(data[:20])
            outputfile.flush()
            time.sleep(0.3)
            outputfile.write(data[20:])

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()


def _start(url, root):
    env = os.environ | {"FMNIST_MIRROR": url}
    command = [sys.executable, "-c", PROCESS, json.dumps(source.PUBLISHED), str(root)]
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background shell ignores it
    )  # fmt: skip


def _unzip(path):
    raw = path.with_suffix("")
    raw.write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()
    return raw


def test_load_gives_the_promised_tensors(folder):
    data = source.load(folder)
    assert data.train_images.shape == (600, 28, 28)
    assert data.test_images.shape == (200, 28, 28)
    assert data.train_images.dtype == data.test_images.dtype == torch.uint8
    assert data.train_labels.dtype == data.test_labels.dtype == torch.int64
    data.train_images.zero_()  # the memory is the caller's


def test_raw_and_gzip_give_the_same_as_torchvision(folder):
    packed = source.load(folder)
    raw = {path.stem: _unzip(path) for path in sorted(folder.glob("*.gz"))}
    loose = source.load(folder)
    assert packed.sha256 == loose.sha256
    assert packed.sha256[IMAGES] == hashlib.sha256(raw[IMAGES].read_bytes()).hexdigest()
    for data in (packed, loose):
        torch.testing.assert_close(data.train_images, read_image_file(str(raw[IMAGES])))
        torch.testing.assert_close(data.test_labels, read_label_file(str(raw[LABELS])))


def test_order_of_places(folder, tmp_path, monkeypatch):
    assert source.find(tmp_path / "data") is None
    package = shutil.copytree(folder, tmp_path / "package")
    monkeypatch.setattr(source, "DEBIAN_FOLDER", package)
    assert source.find(tmp_path / "data") == package
    named = shutil.copytree(folder, tmp_path / "named")
    monkeypatch.setenv("FMNIST_DATA", str(named))
    assert source.find(tmp_path / "data") == named
    assert source.find(folder) == folder


def test_own_sums_are_noticed(folder, caplog):
    source.load(folder)
    assert "not the published Fashion-MNIST" in caplog.text


@pytest.mark.parametrize("name", list(source.PUBLISHED))
def test_missing_file(folder, name):
    (folder / f"{name}.gz").unlink()
    with pytest.raises(InputError, match=rf"{name}.* is missing.*make data.*apt install.*--data\.root"):
        source.load(folder)


def test_incomplete_environment_folder(folder, tmp_path, monkeypatch):
    (folder / f"{LABELS}.gz").unlink()
    monkeypatch.setenv("FMNIST_DATA", str(folder))
    with pytest.raises(InputError, match=rf"\$FMNIST_DATA .*{LABELS}"):
        source.load(tmp_path / "data")


def test_truncated_raw_file_shows_both_digests(published):
    raw = _unzip(published / f"{IMAGES}.gz")
    raw.write_bytes(raw.read_bytes()[:-1])
    digest = hashlib.sha256(raw.read_bytes()).hexdigest()[:12]
    with pytest.raises(
        InputError, match=rf"{IMAGES}: truncated or altered.* {digest} .*{source.PUBLISHED[IMAGES][:12]}"
    ):
        source.load(published)


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-100], lambda data: data[:200] + b"\xff" * 50 + data[250:]]
)
def test_truncated_or_altered_gzip_file(published, spoil):
    path = published / f"{IMAGES}.gz"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=rf"{IMAGES}\.gz: truncated or altered"):
        source.load(published)


@pytest.mark.parametrize("content", [b"", b"<html>not here</html>"])
def test_not_gzip(published, content):
    (published / f"{IMAGES}.gz").write_bytes(content)
    with pytest.raises(InputError, match=rf"{IMAGES}\.gz: not a gzip file"):
        source.load(published)


def test_mnist_is_recognised(published, monkeypatch):
    data = b"in place of MNIST"
    (published / f"{IMAGES}.gz").write_bytes(gzip.compress(data))
    monkeypatch.setattr(source, "MNIST", {hashlib.sha256(data).hexdigest()})
    with pytest.raises(InputError, match="this is MNIST, not Fashion-MNIST"):
        source.load(published)


@pytest.mark.parametrize("name", [f"{IMAGES}.gz", None])
def test_no_permission(published, monkeypatch, name):
    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(*((source.Path, "read_bytes") if name else (source.os, "listdir")), refuse)
    with pytest.raises(InputError, match=rf"{name or published.name}: cannot be read \(Permission denied\)"):
        source.load(published)


def test_root_that_is_a_file(tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(InputError, match="data: cannot be written"):
        source.fetch(tmp_path / "data")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0\0\x0d\x01\0\0\0\x04" + b"\0" * 16, "no idx file of unsigned bytes"),
        (b"\0\0\x08\x01\0\0\0\x05" + b"\0" * 4, "no idx file of unsigned bytes"),
        (b"\0\0", "no idx file of unsigned bytes"),
        (b"\0\0\x08\x01\0\0\0\x04" + b"\0" * 4, r"must be \(N, 28, 28\)"),
        (b"\0\0\x08\x01\0\0\0\xc8" + b"\x0a" * 200, r"label 10, must lie in 0\.\.9"),
    ],
)
def test_own_set_that_is_not_one(folder, content, message):
    sums = folder / source.SUMS
    old = next(line.split()[0] for line in sums.read_text().splitlines() if LABELS in line)
    sums.write_text(sums.read_text().replace(old, hashlib.sha256(content).hexdigest()))
    (folder / f"{LABELS}.gz").write_bytes(gzip.compress(content))
    with pytest.raises(InputError, match=message):
        source.load(folder)


def test_own_sums_that_lack_a_name(folder):
    (folder / source.SUMS).write_text("nonsense\n")
    with pytest.raises(InputError, match=f"{source.SUMS}: no line for"):
        source.load(folder)


def test_four_starts_make_one_download(mirror, tmp_path):
    url, asked = mirror
    processes = [_start(url, tmp_path / "data") for _ in range(4)]
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "verified" in output
        assert "B/s" not in errors, "a progress bar without a terminal"
    assert sorted(asked) == sorted(f"/{name}.gz" for name in source.PUBLISHED)
    assert {path.name for path in (tmp_path / "data").glob("[!.]*")} == {
        f"{name}.gz" for name in source.PUBLISHED
    }


def test_interrupted_download_leaves_nothing(mirror, tmp_path):
    url, asked = mirror
    process = _start(url, tmp_path / "data")
    while len(asked) < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert {path.name for path in (tmp_path / "data").iterdir()} <= {source.LOCK}


def test_download_after_one_that_was_killed(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("FMNIST_MIRROR", mirror[0])
    left = tmp_path / "data" / source.DOWNLOADING
    left.mkdir(parents=True)
    (left / f"{IMAGES}.gz").write_bytes(b"half")
    assert source.load(tmp_path / "data").train_images.shape == (600, 28, 28)
    assert not left.exists()


def test_wrong_files_on_the_mirror_are_refused(mirror, published, tmp_path, monkeypatch):
    monkeypatch.setenv("FMNIST_MIRROR", mirror[0])
    (published / f"{LABELS}.gz").write_bytes(gzip.compress(b"other"))
    with pytest.raises(InputError, match=rf"none can be downloaded.*{LABELS}\.gz: truncated or altered"):
        source.fetch(tmp_path / "data")
    assert not list((tmp_path / "data").glob("*ubyte*"))


def test_debian_package_follows_the_mirrors(published, tmp_path, monkeypatch):
    tried = []

    def download(place, names, into):
        tried.append(place)
        if place != source.DEBIAN_PACKAGE:
            raise OSError("unreachable")
        return [shutil.copy(published / f"{name}.gz", into) and into / f"{name}.gz" for name in names]

    monkeypatch.delenv("FMNIST_MIRROR")
    monkeypatch.setattr(source, "download", download)
    assert source.fetch(tmp_path / "data") == tmp_path / "data"
    assert tried == [*source.MIRRORS, source.DEBIAN_PACKAGE]


def test_command_line_says_where_in_vain(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        source.main(["--root", str(tmp_path / "data")])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert "http://127.0.0.1:9" in message
    assert source.WAYS in message


def test_importing_is_light():
    code = "import sys, fmnist.data.source; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.real_data
def test_published_files(real_data):
    data = source.load(real_data)
    assert data.train_images.shape == (60000, 28, 28)
    assert data.test_images.shape == (10000, 28, 28)
    np.testing.assert_allclose(data.train_images.float().mean() / 255, 0.2860, atol=5e-5)
    assert torch.bincount(data.train_labels).tolist() == [6000] * 10
    assert torch.bincount(data.test_labels).tolist() == [1000] * 10


@pytest.mark.real_data
@pytest.mark.parametrize("name", list(PUBLISHED_MD5))
def test_labels_are_those_of_the_published_gzip_files(real_data, name):
    """Debian took name and time out of the gzip header; put back, they give the authors' MD5."""
    path = real_data / f"{name}.gz"
    if not path.exists():
        pytest.skip(f"{real_data} holds raw files")
    seconds, md5 = PUBLISHED_MD5[name]
    data = path.read_bytes()
    start = 10 if data[3] == 0 else data.index(b"\0", 10) + 1
    header = b"\x1f\x8b\x08\x08" + seconds.to_bytes(4, "little") + b"\0\x03" + name.encode() + b"\0"
    assert hashlib.md5(header + data[start:]).hexdigest() == md5
