"""What ``scripts/predict.py`` is asked for is checked before any work, and delivered after it."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.inference.command import check, predict
from fmnist.robustness.ood_images import noise_images
from tests.inference.asked import make_asked

DEFAULTS = {"output": None, "sheet": None, "stages": None, "cut_out": "border", "threshold": 0.6}


def options(*pictures: Path, root: Path, **others: Any) -> argparse.Namespace:
    return argparse.Namespace(**{**DEFAULTS, "pictures": pictures, "root": str(root), **others})


@pytest.fixture
def run(tmp_path: Path, synthetic_root: Path) -> Run:
    return make_asked(tmp_path / "logs", synthetic_root)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(noise_images(1, 0)[0]).resize((100, 100)).save(tmp_path / "noise.png")
    return tmp_path / "noise.png"


def test_everything_asked_for_is_delivered(
    run: Run, picture: Path, synthetic_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {name: str(tmp_path / f"a.{end}") for name, end in (("output", "csv"), ("sheet", "png"))}
    asked = options(picture, root=synthetic_root, stages=str(tmp_path / "stages"), **files)
    predict(run, asked)
    name = f"{run.record['name']}/{run.path.name}"
    written = f"{files['output']}; {files['sheet']}; {tmp_path / 'stages'}"
    assert capsys.readouterr().out == f"{name}: 1 of 1 pictures done, 1 unsure; {written}\n"
    row = Path(files["output"]).read_text().splitlines()[1]
    assert row.startswith(f"{picture},ok,")
    assert "unlike anything it was trained on" in row
    assert Image.open(files["sheet"]).format == "PNG"
    assert len(list((tmp_path / "stages").rglob("*.png"))) > 4
    assert not list(tmp_path.rglob("*.tmp"))


def test_least_probability_is_as_asked(
    run: Run, synthetic_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(source.load(synthetic_root).test_images.numpy()[0]).save(tmp_path / "garment.png")
    for threshold, doubted in ((0.0, False), (1.0, True)):
        predict(run, options(tmp_path / "garment.png", root=synthetic_root, threshold=threshold))
        assert ("close call between" in capsys.readouterr().out) is doubted


def test_notes_go_to_standard_error(
    run: Run, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(source, "find", lambda root: None)
    predict(run, options(picture, root=tmp_path / "none"))
    assert "note: --data.root" in capsys.readouterr().err
    (run.path / "predictions" / "val.npz").unlink()
    predict(run, options(picture, root=tmp_path / "none"))
    notes = capsys.readouterr().err.splitlines()
    assert [note.partition(",")[0] for note in notes] == [
        "note: this run has no validation images",
        "note: neither data nor validation images are there to tell what the run was not trained on",
    ]


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("threshold", 1.5, "--threshold 1.5: must lie between 0 and 1"),
        ("threshold", np.nan, "--threshold nan: must lie between 0 and 1"),
        ("output", "a.xlsx", "--output .*a.xlsx: must end in .csv or .json"),
        ("output", "none/a.csv", "none/a.csv: .*none is no folder that can be written"),
        ("sheet", "a.jpg", "--sheet .*a.jpg: must end in .png"),
        ("sheet", "folder.png", "--sheet .*folder.png: is a folder"),
        ("stages", "file/stages", "--stages .*file/stages: cannot be made"),
    ],
)
def test_a_wrong_flag_is_refused_before_any_work(flag: str, value: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    value = str(tmp_path / value) if isinstance(value, str) else value
    with pytest.raises(InputError, match=message):
        check(options(root=tmp_path, **{flag: value}))


def test_a_picture_is_not_drawn_over(run: Run, picture: Path, synthetic_root: Path) -> None:
    before = picture.read_bytes()
    beside = str(picture.parent / "." / picture.name)
    with pytest.raises(InputError, match="is one of the pictures"):
        predict(run, options(picture.parent, root=synthetic_root, sheet=beside))
    assert picture.read_bytes() == before


def test_an_estimator_without_probabilities_is_said_to_have_none(
    run: Run, picture: Path, synthetic_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.record["scores"] = "decision scores"
    predict(run, options(picture, root=synthetic_root))
    assert "note: this estimator has no probabilities" in capsys.readouterr().err
