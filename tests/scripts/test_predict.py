"""``scripts/predict.py`` on files of every bad kind: one row each, and the good ones as if alone."""

import csv
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.robustness.photographs import PRODUCT, render
from scripts import predict
from tests.inference.asked import make_asked

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, synthetic_root: Path) -> Run:
    return make_asked(tmp_path_factory.mktemp("logs"), synthetic_root)


@pytest.fixture
def good(tmp_path: Path, synthetic_root: Path) -> Path:
    """A folder of good pictures: photographs, an animation, names of all kinds."""
    folder = tmp_path / "good"
    (folder / "below").mkdir(parents=True)
    images = source.load(synthetic_root).test_images.numpy()
    photographs = [Image.fromarray(render(images[n], PRODUCT, n)) for n in range(4)]
    photographs[0].save(folder / "with space.jpg")
    photographs[1].save(folder / "below" / "ботинок $5 靴.PNG")
    photographs[2].save(folder / "animated.gif", save_all=True, append_images=photographs[3:])
    Image.fromarray(images[4]).save(folder / "native.bmp")
    return folder


@pytest.fixture
def bad(tmp_path: Path, good: Path) -> Path:
    """A folder of files that give no picture."""
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "0 bytes.png").touch()
    (folder / "half.jpg").write_bytes((good / "with space.jpg").read_bytes()[:1500])
    (folder / "text.png").write_text("no picture")
    Image.new("L", (1, 1)).save(folder / "1 x 1.png")
    Image.new("L", (20_000, 1)).save(folder / "line.png")
    (folder / "huge.png").write_bytes(_png(30_000, 30_000, zlib.compress(bytes(10**9 // 8))))
    (folder / "loop.png").symlink_to("loop.png")
    return folder


def _png(width: int, height: int, content: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)  # one bit a pixel
    chunks = [(b"IHDR", header), (b"IDAT", content), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {Path(row["file"]).name: row for row in csv.DictReader(file)}


def call(run: Run, root: Path, *args: object) -> None:
    predict.main([str(run.path), *map(str, args), "--data.root", str(root)])


def test_one_row_a_file_and_good_ones_as_if_alone(
    run: Run, good: Path, bad: Path, synthetic_root: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    together, alone = tmp_path / "together.csv", tmp_path / "alone.csv"
    call(run, synthetic_root, bad, tmp_path / "empty", good, tmp_path / "none.png", "--output", together)
    call(run, synthetic_root, good, "--output", alone)
    rows, others = rows_of(together), rows_of(alone)
    assert {name: rows[name] for name in others} == others
    assert [row["status"] for row in others.values()] == ["ok"] * 4
    failed = {name: row["status"] for name, row in rows.items() if name not in others}
    assert set(failed) == {*os.listdir(bad), "empty", "none.png"}
    for name, reason in {
        "0 bytes.png": "is empty",
        "half.jpg": "is damaged",
        "text.png": "is no PNG",
        "1 x 1.png": "1 x 1 pixels",
        "line.png": "20,000 x 1 pixels",
        "huge.png": "more than",
        "loop.png": "symbolic links",
        "empty": "without pictures",
        "none.png": "No such file",
    }.items():
        assert reason in failed[name]


def test_a_huge_picture_is_refused_within_a_second(run: Run, bad: Path, synthetic_root: Path) -> None:
    from fmnist.inference.preparing import prepare_files

    start = time.process_time()
    (found,) = prepare_files([bad / "huge.png"])
    assert "more than" in found.status
    assert time.process_time() - start < 1


def test_nothing_done_is_status_2_with_the_reason(
    run: Run, bad: Path, synthetic_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        call(run, synthetic_root, bad / "text.png", bad / "loop.png")
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert f"error: no picture could be done; the first, {bad / 'text.png'}: is no PNG" in printed.err
    assert len(printed.out.splitlines()) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_file_without_permission_is_told(
    run: Run, good: Path, synthetic_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (good / "native.bmp").chmod(0)
    call(run, synthetic_root, good)
    assert "not done: cannot be read (Permission denied)" in capsys.readouterr().out


def test_a_stop_leaves_no_output_and_no_process(run: Run, good: Path, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    big = np.random.default_rng(0).integers(0, 256, (1000, 800, 3), np.uint8)
    Image.fromarray(big).save(many / "0000.png")
    for number in range(1, 400):
        os.link(many / "0000.png", many / f"{number:04d}.png")
    output = tmp_path / "out.csv"
    args = [run.path, many, "--output", output, "--stages", tmp_path / "s"]
    process = subprocess.Popen(
        [sys.executable, "scripts/predict.py", *args],
        cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list((tmp_path / "s").glob("*/*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)  # ends when the last process has closed its streams
    assert process.returncode == 143
    assert not output.exists()
    assert not list(tmp_path.glob(".*tmp"))


def test_help_is_quick_and_explains_the_doubts() -> None:
    before = os.times()
    done = subprocess.run(
        [sys.executable, "scripts/predict.py", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    after = os.times()
    assert done.returncode == 0
    from fmnist.inference.answers import DOUBTFUL_FLAGS, UNLIKE

    for reason in (UNLIKE, "close call between A and B", ", ".join(DOUBTFUL_FLAGS)):
        assert reason in done.stdout
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1.5


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        predict.main([str(tmp_path), "a.png"])
    assert stop.value.code == 2
    assert "holds no finished run" in capsys.readouterr().err
