"""``scripts/evaluate.py`` as people call it."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from fmnist.core.runs import Run
from fmnist.inference.predictor import Predictor
from fmnist.robustness import shifts
from fmnist.robustness.measure import ShiftedTestSet
from scripts import evaluate
from tests.evaluation.made import make_run, on_data, shifted


def test_it_evaluates_the_newest_run_of_a_name(
    tmp_path: Path, synthetic_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path, **on_data(synthetic_root))
    newest = make_run(tmp_path, seed=1, **on_data(synthetic_root, 1))
    other = make_run(tmp_path, "mlp", **on_data(synthetic_root, 2))
    evaluate.main([str(tmp_path / "cnn"), str(other.path), "--data.root", str(synthetic_root)])
    printed = capsys.readouterr().out
    assert f"test accuracy {newest.predictions('test').accuracy:.4f} (95 %" in printed
    assert "macro avg" in printed
    for run in (newest, other):
        assert (run.path / "report.html").exists()
    assert not (tmp_path / "cnn" / "version_0" / "report.html").exists()


def test_bad_input_ends_with_status_2_and_the_reason(tmp_path: Path, refused: Callable[..., str]) -> None:
    said = refused(evaluate.main, tmp_path / "nowhere", "--photographs", tmp_path / "not looked at")
    assert "is no run folder" in said
    assert "not looked at" not in said
    new = Run.create(tmp_path, "new")
    assert "is running, or was killed; only a finished run" in refused(evaluate.main, new.path)
    damaged = make_run(tmp_path)
    (damaged.path / "predictions" / "test.npz").write_bytes(b"no archive")
    assert "test.npz: is damaged" in refused(evaluate.main, damaged.path)
    assert "the following arguments are required: RUN" in refused(evaluate.main)


def test_shifts_are_measured_on_as_many_images_as_are_named(
    tmp_path: Path, synthetic_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(tmp_path, **on_data(synthetic_root))
    counts = []

    def measure_shifts(_: Predictor, test_set: ShiftedTestSet) -> dict[str, object]:
        counts.append(len(test_set.subset.labels))
        return shifted(0.5)

    monkeypatch.setattr(shifts, "measure_shifts", measure_shifts)
    monkeypatch.setattr(shifts, "measure_detection", lambda *_: shifted(0.5)["detection"])
    for count in ("50", "all"):
        evaluate.main([str(run.path), "--data.root", str(synthetic_root), "--shifts", count])
    assert counts == [50, 200]
    assert "50.00 % (standard error" in capsys.readouterr().out
    assert (run.path / "shifts.json").exists()


def test_a_wrong_number_of_shifted_images_is_refused(
    tmp_path: Path, synthetic_root: Path, refused: Callable[..., str]
) -> None:
    run, second = (make_run(tmp_path, name, **on_data(synthetic_root)) for name in ("cnn", "mlp"))
    message = refused(evaluate.main, "--shifts", run.path)
    assert f"argument --shifts: {str(run.path)!r} must be a number of test images, or 'all'" in message
    for count, flag in (("0", "0"), ("5", "5"), ("201", "201"), ("-1", "-1"), ("2000", None)):
        arguments = ["--shifts", flag] if flag else ["--shifts"]  # 2,000 is the default
        message = refused(evaluate.main, run.path, second.path, *arguments, "--data.root", synthetic_root)
        assert message.count(f"--shifts {count}: must lie between 10 and 200, or be 'all'") == 1
    assert not (run.path / "shifts.json").exists()
    other = make_run(tmp_path).path
    assert "holds other data" in refused(evaluate.main, other, "--shifts", "--data.root", synthetic_root)


def test_one_bad_run_stops_no_other(
    tmp_path: Path, synthetic_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shifts, "measure_shifts", lambda *_: shifted(0.5))
    monkeypatch.setattr(shifts, "measure_detection", lambda *_: shifted(0.5)["detection"])
    logs = tmp_path / "my logs"
    good = make_run(logs, "last", **on_data(synthetic_root))
    other_data = make_run(logs, "other")
    damaged = make_run(logs, "damaged", **on_data(synthetic_root))
    (damaged.path / "predictions" / "test.npz").write_bytes(b"no archive")
    bad = [damaged.path, logs / "nowhere", other_data.path]
    paths = [*bad, good.path, good.path.parent]
    with pytest.raises(SystemExit) as stop:
        evaluate.main([*map(str, paths), "--shifts", "50", "--data.root", str(synthetic_root)])
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.out.count("test accuracy") == 1  # of the run that two paths name
    assert f"'{good.path / 'report.html'}'" in printed.out
    assert (good.path / "shifts.json").exists()
    assert printed.err.count("error: ") == 3
    last = printed.err.splitlines()[-1]
    assert last.startswith("not evaluated: ")
    assert shlex.split(last.removeprefix("not evaluated: ")) == list(map(str, bad))
