"""The page as a server: its endpoint, its limits, what it leaves behind, how it ends, and a browser."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.demo.command import serve
from scripts import demo
from tests.browser import new_page
from tests.machine import free_port, heed_signals

ROOT = Path(__file__).parents[2]
SHIRT = ROOT / "examples" / "t-shirt.jpg"
PASTE = """async () => {
  const answer = await fetch(document.querySelector("#answer img").src);
  const data = new DataTransfer();
  data.items.add(new File([await answer.blob()], "pasted.png", { type: "image/png" }));
  document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
}"""


class Server(NamedTuple):
    """A running server.

    Attributes:
        process: Its process.
        address: Of the page.
        temporary: Folder for its temporary files.
    """

    process: subprocess.Popen[str]
    address: str
    temporary: Path

    def uploads(self) -> list[Path]:
        """Return the files that it keeps, without its examples."""
        files = [path for path in self.temporary.rglob("*") if path.is_file()]
        return [path for path in files if path.parent.name != "examples"]


def start(temporary: Path, *runs: str) -> Server:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "scripts/demo.py", *runs, "--port", str(port), "--data.root", str(temporary)],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(temporary)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=heed_signals,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "Ctrl-C ends it" in line, process.communicate()[1]
    return Server(process, f"http://127.0.0.1:{port}/", temporary)


def stop(server: Server, number: int) -> tuple[int, str]:
    server.process.send_signal(number)
    _, errors = server.process.communicate(timeout=60)
    return server.process.returncode, errors


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("gradio", reason="needs the extra demo: pip install -e '.[demo]'")
    started = start(tmp_path_factory.mktemp("temporary"), "lenet5", "cnn")
    yield started
    status, errors = stop(started, signal.SIGINT)
    assert (status, errors.splitlines()[-1]) == (130, "interrupted")  # below a refused file's traceback
    assert list(started.temporary.iterdir()) == []


@pytest.fixture(scope="module")
def client(server: Server) -> Any:
    gradio_client = pytest.importorskip("gradio_client")
    return gradio_client.Client(server.address, verbose=False)


def ask(client: Any, path: Path) -> list[dict[str, Any]]:
    from gradio_client import handle_file

    rows: list[dict[str, Any]] = client.predict(picture=handle_file(path), api_name="/predict")
    return rows


def test_the_endpoint_answers_by_every_run(client: Any, server: Server) -> None:
    rows = ask(client, SHIRT)
    assert [(row["run"], row["class"]) for row in rows] == [
        ("lenet5", "T-shirt/top"), ("cnn", "T-shirt/top"),
    ]  # fmt: skip
    assert rows[0]["file"] == "t-shirt.jpg"
    assert 0.5 < rows[0]["probability"] < 1
    assert server.uploads() == []


def test_a_text_file_gets_a_sentence(client: Any, server: Server, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    rows = ask(client, tmp_path / "text.png")
    assert rows[0]["status"].startswith("is no PNG, JPEG")
    assert rows[0]["class"] is None
    assert server.uploads() == []


def test_no_answer_is_lost_when_several_ask(client: Any, server: Server, tmp_path: Path) -> None:
    """Two of every three pictures are the same file, which Gradio stores once."""
    paths = [SHIRT, SHIRT]
    for shade in range(3):
        paths.append(tmp_path / f"{shade}.png")
        Image.open(SHIRT).convert("L").point(lambda level, by=shade: level - by).save(paths[-1])
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda path: ask(client, path), paths * 2))
    assert [rows[0]["file"] for rows in answers] == [path.name for path in paths] * 2
    assert {rows[0]["class"] for rows in answers} == {"T-shirt/top"}
    assert server.uploads() == []


def test_a_file_that_was_not_uploaded_is_neither_read_nor_removed(server: Server, tmp_path: Path) -> None:
    secret = Path(shutil.copy(SHIRT, tmp_path / "secret.png"))
    (folder,) = server.temporary.glob("fmnist-demo-*")
    example = next((folder / "examples").glob("*.png"))
    roundabout = folder / "uploads" / ".." / "examples" / example.name
    gone = folder / "uploads" / "gone.png"  # its failed reading would be remembered
    named = [*map(str, (secret, example, roundabout, gone, folder / "uploads")), None, 3, "a\0b"]
    for file in ("text", *({"path": path, "meta": {"_type": "gradio.FileData"}} for path in named)):
        call = urllib.request.Request(
            f"{server.address}gradio_api/call/predict",
            json.dumps({"data": [file]}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(call, timeout=60) as response:
            event = json.load(response)["event_id"]
        with urllib.request.urlopen(f"{call.full_url}/{event}", timeout=60) as response:
            said = response.read().decode()
        assert said.startswith("event: error")
        assert "T-shirt" not in said
    assert secret.exists()
    assert example.exists()


def test_no_picture_is_an_error(client: Any) -> None:
    from gradio_client.exceptions import AppError

    with pytest.raises(AppError, match="there is no picture"):
        client.predict(picture=None, api_name="/predict")


def test_only_the_endpoint_is_public(client: Any) -> None:
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/predict"]


def test_nothing_is_loaded_from_elsewhere(server: Server) -> None:
    """Scripts, styles and fonts are the server's own; addresses in texts for search engines load nothing."""
    html = urllib.request.urlopen(server.address).read().decode()
    assert not re.findall(r'<(?:script|img|iframe)[^>]*src="?(https?:[^" ]+)', html)
    assert not re.findall(r'<link[^>]*href="?(https?:[^" ]+)', html)
    theme = urllib.request.urlopen(f"{server.address}theme.css").read().decode()
    assert "http" not in theme.replace("http://www.w3.org", "")


def test_sigterm_leaves_nothing_behind(tmp_path: Path) -> None:
    pytest.importorskip("gradio", reason="needs the extra demo: pip install -e '.[demo]'")
    status, errors = stop(start(tmp_path, "lenet5"), signal.SIGTERM)
    assert (status, errors) == (143, "")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_dropped_in_a_browser(browser: Any, server: Server) -> None:
    elsewhere: list[str] = []
    page = new_page(browser, [], viewport={"width": 390, "height": 844}, color_scheme="dark")
    page.on("request", lambda request: elsewhere.append(request.url))
    page.goto(server.address)
    page.locator("#answer h2", has_text="Example: T-shirt").wait_for()
    page.set_input_files("#picture input[type=file]", SHIRT)
    page.locator("#answer h2", has_text="t-shirt.jpg").wait_for()
    assert page.locator("#answer h3").first.inner_text().startswith("T-shirt/top")
    assert page.locator("#answer .runs > section").count() == 3
    page.evaluate(PASTE)
    page.locator("#answer h2", has_text="pasted.png").wait_for()
    page.locator("#example-A-mug").click()
    page.locator("#answer h2", has_text="Example: A mug").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(16, 20, 24)"  # --page of the reports, dark
    own = (server.address, "data:", "blob:")
    assert [address for address in elsewhere if not address.startswith(own)] == []
    assert server.uploads() == []


def test_a_taken_port_is_said(refused: Callable[..., str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = refused(demo.main, "--port", port)
    reason = "cannot be used on 127.0.0.1 (Address already in use)"
    advice = "choose another --port, or a --host of this machine"
    assert error == f"error: --port {port}: {reason}; {advice}\n"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port", "70000"], "--port 70000: must lie between 1 and 65535"),
        (["--host", "no such host"], "--host no such host: is no address"),
        (["--threshold", "2"], "--threshold 2: must lie between 0 and 1"),
        (["rubost"], "the shipped networks are cnn, lenet5, robust"),
    ],
)
def test_a_wrong_flag_is_refused(flags: list[str], said: str, refused: Callable[..., str]) -> None:
    error = refused(demo.main, *flags)
    assert said in error
    assert error.count("\n") == 1


def test_without_gradio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "fmnist.demo.page", raising=False)
    monkeypatch.delattr("fmnist.demo.page", raising=False)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    with pytest.raises(InputError, match=r"the demo needs gradio, which is not installed: pip install -e"):
        serve([], "127.0.0.1", free_port(), False, 0.6, "data")
