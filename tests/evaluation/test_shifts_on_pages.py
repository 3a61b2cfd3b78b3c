"""The sections on shifted images of a run's page and of a comparison."""

import json
from pathlib import Path

from fmnist.evaluation.comparison import write_comparison
from fmnist.evaluation.report import write_report
from fmnist.robustness.rendered import KINDS
from tests.evaluation.made import make_run, on_data, shifted
from tests.evaluation.reading import Page, report


def test_a_run_has_the_section_once_it_was_measured(tmp_path: Path, synthetic_root: Path) -> None:
    run = make_run(tmp_path, **on_data(synthetic_root, 0, 4.0))
    assert "Shifted images" not in " ".join(report(run, synthetic_root).texts)
    (run.path / "shifts.json").write_text(json.dumps(shifted(0.5)))
    page = report(run, synthetic_root)
    assert page.data["matrices"]["shifts"]["unit"] == "accuracy"
    assert len(page.tables["photographs"]) == len(KINDS) + 1


def test_a_comparison_shows_the_first_measured_seed_of_each_model(
    tmp_path: Path, synthetic_root: Path
) -> None:
    for name, seed, level in (("cnn", 0, None), ("cnn", 1, 0.7), ("mlp", 0, 0.4), ("lenet5", 0, None)):
        run = make_run(tmp_path, name, seed, **on_data(synthetic_root, len(name) + seed, 3.0))
        if level:
            (run.path / "shifts.json").write_text(json.dumps(shifted(level)))
    tables, _ = write_comparison([tmp_path], tmp_path / "out", str(synthetic_root), reference="mlp")
    means = {row["model"]: row["mean"] for row in tables["shifts"].rows}
    assert means == {"cnn": 0.7, "mlp": 0.4}
    page = Page((tmp_path / "out" / "compare.html").read_text())
    assert set(page.data["matrices"]["shifts"]["columns"]) == {"cnn", "mlp"}
    assert f"python scripts/evaluate.py {tmp_path / 'lenet5' / 'version_0'} --shifts" in page.texts


def test_a_comparison_keeps_no_tables_of_an_earlier_one(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, name, skill=skill) for name, skill in (("cnn", 3.0), ("mlp", 1.0))]
    measured = runs[0].path / "shifts.json"
    measured.write_text(json.dumps(shifted(0.5)))
    output = tmp_path / "out"
    write_comparison([run.path for run in runs], output, str(tmp_path))
    assert (output / "shifts.csv").exists()
    (output / "photographs-of-mine.csv").write_text("not of a comparison")
    measured.unlink()
    write_comparison([run.path for run in runs], output, str(tmp_path))
    assert (output / "results.csv").exists()
    assert not list(output.glob("shifts*"))
    assert (output / "photographs-of-mine.csv").exists()


def test_a_damaged_file_of_one_run_leaves_the_others_compared(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "my logs", name, skill=skill) for name, skill in (("cnn", 3.0), ("mlp", 1.0))]
    (runs[0].path / "shifts.json").write_text(json.dumps(shifted(0.5)))
    (runs[1].path / "shifts.json").write_text("{")
    tables, lines = write_comparison([tmp_path / "my logs"], tmp_path / "out", str(tmp_path))
    assert [row["model"] for row in tables["shifts"].rows] == ["cnn"]
    command = f"python scripts/evaluate.py '{runs[1].path}' --shifts"
    assert len([line for line in lines if "shifts.json': is damaged" in line]) == 1
    assert any(line.endswith(command) for line in lines)
    assert command in Page((tmp_path / "out" / "compare.html").read_text()).texts


def test_a_damaged_file_costs_a_report_its_section_only(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run.path / "shifts.json").write_text("{")
    _, lines = write_report(run, str(tmp_path))
    assert any(line.startswith("no section on shifted images: ") for line in lines)
    assert "Shifted images" not in (run.path / "report.html").read_text()
