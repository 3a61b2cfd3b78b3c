"""The two places that files are downloaded from; what is made of them is tested with the source."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fmnist.data import download


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """Serve ``served/`` below the test's folder."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=str(folder), **kwargs)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mirror_gives_the_bytes_it_has(mirror: str, tmp_path: Path, slash: str) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / "served" / "images.gz").write_bytes(content)
    (path,) = download.download(mirror + slash, ["images"], tmp_path)
    assert path == tmp_path / "images.gz"
    assert path.read_bytes() == content


def test_a_file_the_mirror_lacks_is_an_error(mirror: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="404"):
        download.download(mirror, ["nothing"], tmp_path)


def test_without_apt_there_is_no_debian_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.shutil, "which", lambda name: None)
    with pytest.raises(OSError, match="no apt-get"):
        download.download(download.DEBIAN_PACKAGE, ["images"], tmp_path)


def test_what_a_failed_command_said_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"ls failed: .*nowhere"):
        download._run(["ls", "nowhere"], tmp_path)
    download._run(["ls", "nowhere"], tmp_path, check=False)
