"""``scripts/predict.py`` on good and bad files: a row for each, and good ones are answered as if alone."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fmnist.core.errors import quoted
from fmnist.core.files import TEMPORARY_FILES
from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.inference.answers import UNLIKE
from fmnist.pictures.file_types import READ
from fmnist.robustness.ood_images import noise_images
from fmnist.robustness.rendered import PRODUCT, render
from scripts import predict
from tests.inference.asked import make_asked

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, synthetic_root: Path) -> Run:
    return make_asked(tmp_path_factory.mktemp("logs"), synthetic_root)


@pytest.fixture
def run(made: Run, tmp_path: Path) -> Run:
    """A copy of the run, to be changed."""
    return Run(shutil.copytree(made.path, tmp_path / "logs" / "small" / "version_0"))


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
def noise(tmp_path: Path) -> Path:
    """Return a picture of a square of noise on white paper."""
    square = np.kron(noise_images(1, 0)[0], np.ones((3, 3), np.uint8))
    Image.fromarray(np.pad(square, 20, constant_values=255)).save(tmp_path / "noise.png")
    return tmp_path / "noise.png"


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {Path(row["file"]).name: row for row in csv.DictReader(file)}


def call(run: Run, root: Path, *args: object) -> None:
    predict.main([str(run.path), *map(str, args), "--data.root", str(root)])


def test_bad_files_get_a_row_with_the_reason_and_change_no_other(
    run: Run, good: Path, synthetic_root: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (tmp_path / "empty").mkdir()
    (bad / "0 bytes.png").touch()
    (bad / "half.jpg").write_bytes((good / "with space.jpg").read_bytes()[:1500])
    Image.new("L", (20_000, 1)).save(bad / "line.png")
    (bad / "loop.png").symlink_to("loop.png")
    together, alone = tmp_path / "together.csv", tmp_path / "alone.csv"
    call(run, synthetic_root, bad, tmp_path / "empty", good, tmp_path / "none.png", "--output", together)
    call(run, synthetic_root, good, "--output", alone)
    rows, good_rows = rows_of(together), rows_of(alone)
    assert {name: rows.pop(name) for name in good_rows} == good_rows
    assert [row["status"] for row in good_rows.values()] == ["ok"] * 4
    reasons = {
        "0 bytes.png": "is empty",
        "half.jpg": "is damaged",
        "line.png": "20,000 x 1 pixels",
        "loop.png": "symbolic links",
        "empty": "without pictures",
        "none.png": "No such file",
    }
    assert set(rows) == set(reasons)
    assert all(reason in rows[name]["status"] for name, reason in reasons.items())


def test_no_picture_of_a_folder_is_lost(
    run: Run, good: Path, synthetic_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (good / "a.jxl").write_bytes(b"\xff\x0a")
    (good / "b.SVG").write_text("<svg/>")
    Image.new("L", (100, 80), 200).save(good / "blank.png")
    levels = np.asarray(Image.open(good / "with space.jpg").convert("L")).astype(np.uint16)
    Image.fromarray(levels * 16).save(good / "twelve bits.tiff")
    others = [good / name for name in ("IMG_1", "a.mov", *(f"notes {number}.txt" for number in range(20)))]
    for path in others:
        path.touch()
    (good / "c.heic").write_bytes(b"\0\0\0\x18ftypheic")
    call(run, synthetic_root, good, "--output", tmp_path / "a.csv")
    rows = rows_of(tmp_path / "a.csv")
    assert len(rows) == 9
    assert ("pip install pillow-heif" in rows["c.heic"]["status"]) is ("HEIF" not in READ)
    assert "djxl" in rows["a.jxl"]["status"]
    assert "rsvg-convert" in rows["b.SVG"]["status"]
    assert (rows["blank.png"]["status"], rows["blank.png"]["class"]) == ("nothing found", "")
    assert rows["twelve bits.tiff"]["status"] == "ok"
    assert rows["twelve bits.tiff"]["class"] == rows["with space.jpg"]["class"]
    printed = capsys.readouterr()
    names = ", ".join(map(quoted, sorted(others)[:20]))
    assert f"not looked at, because of the names' endings: {names}, ... (22 in all)" in printed.err
    assert "5 of 9 pictures done" in printed.out


def test_csv_sheet_and_stages_are_written(
    run: Run, noise: Path, synthetic_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, sheet, stages = tmp_path / "a.csv", tmp_path / "a.png", tmp_path / "stages"
    call(run, synthetic_root, noise, "--output", output, "--sheet", sheet, "--stages", stages)
    summary = f"small/version_0: 1 of 1 picture done, 1 unsure; {output}; {sheet}; {stages}\n"
    assert capsys.readouterr().out == summary
    row = rows_of(output)["noise.png"]
    assert row["status"] == "ok"
    assert UNLIKE in row["unsure"]
    assert Image.open(sheet).format == "PNG"
    assert len(list(stages.rglob("*.png"))) == 8
    assert not list(tmp_path.rglob(TEMPORARY_FILES))


def test_the_threshold_decides_what_is_a_close_call(
    run: Run, good: Path, synthetic_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for threshold, close_call in ((0, False), (1, True)):
        call(run, synthetic_root, good / "native.bmp", "--threshold", threshold)
        assert ("close call between" in capsys.readouterr().out) is close_call


def test_limits_of_a_run_are_told(
    run: Run,
    noise: Path,
    synthetic_root: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run.update(scores="decision scores")
    call(run, synthetic_root, noise)
    assert "note: this estimator has no probabilities" in capsys.readouterr().err
    run.update(scores="logits")
    (run.path / "detection.npz").unlink()
    monkeypatch.setattr(source, "find", lambda root: None)
    call(run, tmp_path / "none", noise)
    assert "note: --data.root" in capsys.readouterr().err
    (run.path / "predictions" / "val.npz").unlink()
    call(run, tmp_path / "none", noise)
    notes = capsys.readouterr().err.splitlines()
    assert [note.partition(",")[0] for note in notes] == [
        "note: this run has no validation images",
        "note: there are neither data nor validation images",
    ]


def test_if_nothing_is_done_the_status_is_2_with_the_reason(
    run: Run, synthetic_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, none = tmp_path / "text.png", tmp_path / "none.png"
    text.write_text("no picture")
    with pytest.raises(SystemExit) as stop:
        call(run, synthetic_root, text, none)
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert f"error: no picture could be done; the first, {text}: is no PNG" in printed.err
    assert len(printed.out.splitlines()) == 3  # the table


def test_sigterm_leaves_no_output_and_no_process(run: Run, tmp_path: Path) -> None:
    many, output, stages = tmp_path / "many", tmp_path / "out.csv", tmp_path / "stages"
    many.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (1000, 800, 3), np.uint8)
    Image.fromarray(pixels).save(many / "0000.png")
    for number in range(1, 400):
        os.link(many / "0000.png", many / f"{number:04d}.png")
    process = subprocess.Popen(
        [sys.executable, "scripts/predict.py", run.path, many, "--output", output, "--stages", stages],
        cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    deadline = time.monotonic() + 240
    while not list(stages.glob("*/*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)  # returns when the last worker has closed its streams
    assert process.returncode == 143
    assert not output.exists()
    assert not list(tmp_path.glob(TEMPORARY_FILES))
