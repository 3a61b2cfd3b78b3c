"""The files that ``evaluate.py --shifts`` writes, and what pages show of them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.data.arrays import images_of
from fmnist.data.of_run import data_of
from fmnist.robustness import measure, shift_tables, shifts
from fmnist.robustness.corruptions import CORRUPTIONS, FLIPS
from fmnist.robustness.rendered import KINDS, Photographs
from fmnist.robustness.shifts import read_shifts, write_shifts
from tests.evaluation.made import make_run, on_data, shifted
from tests.inference.asked import make_asked


@pytest.fixture
def run(tmp_path: Path, synthetic_root: Path) -> Run:
    return make_run(tmp_path, **on_data(synthetic_root, 0, 4.0))


def test_two_runs_are_measured_on_photographs_that_are_made_once(
    tmp_path: Path, synthetic_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographed = []

    def fake_photographs(images: np.ndarray, *_: Any, **__: Any) -> dict[str, Photographs]:
        photographed.append(len(images))
        return {kind: Photographs(images, np.array(["dark-on-light"] * len(images))) for kind in KINDS}

    monkeypatch.setattr(measure, "prepared_photographs", fake_photographs)
    monkeypatch.setattr(measure, "OOD_IMAGES", {"none": lambda *_: np.zeros((10, 28, 28), np.uint8)})
    runs = [make_asked(tmp_path / name, synthetic_root) for name in ("one", "two")]
    data = data_of(runs[0], str(synthetic_root))
    test_set = measure.ShiftedTestSet(images_of(data, "test"), 20)
    for run in runs:
        written = write_shifts(run, data, test_set)
        assert read_shifts(run) == written
        assert written["images"] == 20
        assert (run.path / "shifts.csv").read_text().startswith("corruption,1,2,3,4,5,mean,lost\nshot noise,")
        assert (run.path / "figures" / "shifts.png").read_bytes().startswith(b"\x89PNG")
    assert photographed == [10]  # a quarter, but one of each class at least


def test_a_folder_that_cannot_be_written_is_refused(
    run: Run, synthetic_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shifts, "measure_shifts", lambda *_: shifted(0.5))
    monkeypatch.setattr(shifts, "measure_detection", lambda *_: shifted(0.5)["detection"])
    (run.path / "shifts.csv").mkdir()
    data = data_of(run, str(synthetic_root))
    with pytest.raises(InputError, match=re.escape(f"{run.path}: cannot be written")):
        write_shifts(run, data, measure.ShiftedTestSet(images_of(data, "test"), None))


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"clean": {"accuracy": 1}}'])
def test_a_damaged_file_is_refused(run: Run, content: bytes) -> None:
    assert read_shifts(run) is None
    (run.path / "shifts.json").write_bytes(content)
    with pytest.raises(
        InputError, match=r"shifts\.json: is damaged .*: python scripts/evaluate\.py .* --shifts"
    ):
        read_shifts(run)


def test_the_tables_and_the_summary_of_a_run() -> None:
    measured = shifted(0.5)
    measured["corruptions"]["glass_blur"] = [0.1] * 5
    corruptions, photographs, detection = shift_tables.run_tables(measured)
    names = [name.replace("_", " ") for name in (*CORRUPTIONS, *FLIPS)]
    assert [row["corruption"] for row in corruptions.rows] == names
    rows = {row["corruption"]: row for row in corruptions.rows}
    noise, inverse = rows["shot noise"], rows["inverse"]
    assert list(noise.values())[1:] == pytest.approx([0.7, 0.6, 0.5, 0.4, 0.3, 0.5, 0.4])
    assert (inverse["1"], inverse["2"], inverse["mean"]) == (0.5, None, 0.5)
    assert len(photographs.rows) == len(KINDS)
    assert "| dark on light | 0.450 | 0.010 | 50.00 % | 99.00 % |" in photographs.markdown()
    assert "| in colour, plain | 0.450 | 0.010 | 50.00 % | – |" in photographs.markdown()
    assert "| drawn digits | energy | 0.9600 | 20.00 % |" in detection.markdown()
    assert shift_tables.heat_map(measured)["values"][-1] == [0.5, None, None, None, None, 0.5]
    text = " ".join(shift_tables.summary(measured))
    assert "gets 90.00 % right as they are, and 50.00 %" in text
    assert "worst corruption is glass blur (10.00 %)" in text
    assert "on a cluttered background, 50.00 %" in text


def test_models_are_compared_the_best_first_and_relative_to_a_reference() -> None:
    by_model = {"mlp": shifted(0.4), "cnn": shifted(0.7)}
    (table,) = shift_tables.comparison_tables(by_model, "mlp")
    assert [row["model"] for row in table.rows] == ["cnn", "mlp"]
    assert [row["mce"] for row in table.rows] == pytest.approx([50, 100])  # errors 0.3 and 0.6
    assert "mCE" not in shift_tables.comparison_tables(by_model)[0].markdown()
    by_model["cnn"]["images"] += 1
    (table,) = shift_tables.comparison_tables(by_model, "mlp")  # not of the same images
    assert [row["mce"] for row in table.rows] == [None, pytest.approx(100)]
    heat = shift_tables.comparison_heat_map(by_model)
    assert heat["columns"] == ["mlp", "cnn"]
    assert heat["values"][0] == pytest.approx([0.4, 0.7])
    reference: dict[str, Any] = {"corruptions": {"a": [0.5, 0.3], "b": [0.9]}}
    measured: dict[str, Any] = {"corruptions": {"a": [0.7, 0.7], "b": [0.8]}}
    assert shift_tables.relative_error(measured, reference) == pytest.approx(
        100 * (0.6 / 1.2 + 0.2 / 0.1) / 2
    )


def test_a_comparison_without_measurements_is_empty_and_an_unknown_reference_refused() -> None:
    assert shift_tables.comparison_tables({}) == []
    for by_model, known in (({"cnn": shifted(0.5)}, "cnn"), ({}, "there is none")):
        with pytest.raises(InputError, match=f"--reference vgg: must be a model measured .*: {known}"):
            shift_tables.comparison_tables(by_model, "vgg")
