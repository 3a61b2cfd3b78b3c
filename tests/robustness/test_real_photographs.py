"""``scripts/evaluate.py --photographs`` on drawn pictures: files, terminal, report and comparison."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fmnist.evaluation import rerun
from fmnist.evaluation.comparison import write_comparison
from fmnist.evaluation.report import write_report
from fmnist.inference.predict import predict
from fmnist.robustness import real_photographs
from scripts import evaluate
from tests.evaluation.made import make_run, on_data
from tests.evaluation.reading import Page, report
from tests.inference.asked import make_asked
from tests.pictures.drawn import shirt
from tests.robustness.answered import GIVEN, measured


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two shirts, a broken file and a blank picture of known garments, one foreign shirt, one left out."""
    folder = tmp_path / "my photographs"
    for name in ("shirt/1.png", "shirt/2.png", "foreign/1.png", "shoes/1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        colour = (40, 60, 140) if name.endswith("1.png") else (150, 30, 30)
        Image.fromarray(shirt(colour, (235, 235, 230))).save(folder / name)
    Image.fromarray(np.full((90, 80), 200, np.uint8)).save(folder / "shirt" / "blank.png")
    (folder / "shirt" / "broken.jpg").write_bytes(b"no picture")
    (folder / "shirt" / "notes.txt").touch()
    (folder / "mapping.yaml").write_text("shoes: null\nshirt: [Shirt, T-shirt/top]\n")
    return folder


def test_runs_are_measured_on_photographs_that_are_prepared_once(
    photographs: Path,
    tmp_path: Path,
    synthetic_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = [make_asked(tmp_path / "logs", synthetic_root) for _ in range(2)]
    calls, prepare = [], real_photographs.prepare_files
    monkeypatch.setattr(
        real_photographs, "prepare_files", lambda files: calls.append(files) or prepare(files)
    )
    monkeypatch.setattr(rerun, "measure_speed", lambda *_: None)
    mapping = str(photographs / "mapping.yaml")
    args = ["--photographs", str(photographs), "--classes", mapping, "--data.root", str(synthetic_root)]
    evaluate.main([*(str(run.path) for run in runs), *args])
    assert len(calls) == 1
    printed = capsys.readouterr()
    assert "shirt        T-shirt/top, Shirt            4" in printed.out
    assert "Of 4 photographs of known garments it gets" in printed.out
    assert (
        "Without an answer: 2 photographs: shirt/blank.png (nothing found), shirt/broken.jpg (" in printed.out
    )
    assert f"note: left out by '{mapping}': shoes" in printed.err
    assert "notes.txt" in printed.err
    assert "(2 in all)" in printed.err

    for run in runs:
        content = json.loads((run.path / "photographs" / "mapping.json").read_text())
        assert (content["folder"], content["left_out"], content["other_files"]) == (
            photographs.name,
            ["shoes"],
            2,
        )
        assert content["known"]["photographs"] == 4
        assert content["foreign"]["photographs"] == 1
        for sheet in run.path.glob("photographs/*.png"):
            assert Image.open(sheet).width > 1000
        assert (run.path / "photographs" / "mapping-sample.png").exists()
        page = Page((run.path / "report.html").read_text())
        assert "Photographs: mapping" in page.texts
        assert [row[0] for row in page.tables["photographs-mapping"][1:]] == [
            "foreign", "shirt", "all known", "all foreign",
        ]  # fmt: skip
        assert page.data["matrices"]["photographs-mapping"]["right"][1][0] is True
    with (runs[0].path / "photographs" / "mapping.csv").open(newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    files = [photographs / "shirt" / "1.png", photographs / "shirt" / "2.png"]
    predict(runs[0], [str(file) for file in files], output=str(tmp_path / "a.csv"), root=str(synthetic_root))
    with (tmp_path / "a.csv").open(newline="") as file:
        for predicted in csv.DictReader(file):
            row = rows[f"shirt/{Path(predicted['file']).name}"]
            assert {key: row[key] for key in predicted if key != "file"} == {
                key: value for key, value in predicted.items() if key != "file"
            }
            assert row["right"] == str(row["class"] in ("Shirt", "T-shirt/top"))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--photographs", "nowhere"], "--photographs nowhere: cannot be read"),
        (
            ["--photographs", ""],
            "an argument after --photographs: is empty; is a variable of the shell not set?",
        ),
        (["--classes", "mapping.yaml"], "--classes: maps the subfolders of --photographs FOLDER"),
        (["--photographs", "{folder}", "--classes", "none.yaml"], "--classes none.yaml: cannot be read"),
        (["--photographs", "{folder}"], "no class is known for shoes"),
    ],
)
def test_bad_flags_are_refused_before_any_run(
    args: list[str], said: str, photographs: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    run = make_run(tmp_path)
    assert said in refused(evaluate.main, run.path, *(arg.format(folder=photographs) for arg in args))
    assert not (run.path / "report.html").exists()


def write(run: Any, content: dict[str, object]) -> None:
    folder = run.path / "photographs"
    folder.mkdir(exist_ok=True)
    (folder / f"{content['name']}.json").write_text(json.dumps(content))


def test_pages_show_every_set_and_name_damaged_files(tmp_path: Path, synthetic_root: Path) -> None:
    runs = [
        make_run(tmp_path / "logs", name, seed, **on_data(synthetic_root, seed, 3.0))
        for name, seed in (("cnn", 0), ("cnn", 1), ("mlp", 2))
    ]
    for run in runs:
        write(run, measured("four"))
    write(runs[0], measured("my six", GIVEN[:6]))
    page = report(runs[0], synthetic_root)
    assert {"Photographs: four", "Photographs: my six"} <= set(page.texts)
    assert {"photographs-four", "photographs-my six", "reasons-four"} <= page.tables.keys()
    damaged = runs[2].path / "photographs" / "four.json"
    damaged.write_text('{"name": "four"}')
    _, lines = write_report(runs[2], str(synthetic_root))
    assert any(line.startswith(f"no section on photographs: {damaged}: is damaged") for line in lines)

    tables, lines = write_comparison([tmp_path / "logs"], tmp_path / "out", str(synthetic_root))
    assert [(row["model"], row["seeds"]) for row in tables["photographs-four"].rows] == [("cnn", 2)]
    assert tables["photographs-my six"].rows[0]["foreign_refused"] is None
    assert any(line.startswith(f"skipped {damaged}: is damaged") for line in lines)
    assert (tmp_path / "out" / "photographs-four.csv").exists()
    assert "Photographs" in Page((tmp_path / "out" / "compare.html").read_text()).texts
