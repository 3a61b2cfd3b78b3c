"""``scripts/evaluate.py`` as people call it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from fmnist.runs import Run
from scripts import evaluate
from tests.evaluation.made import make_run, on_data

ROOT = Path(__file__).parents[2]


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


def refusal(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    with pytest.raises(SystemExit) as stop:
        evaluate.main([str(value) for value in args])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_bad_input_ends_with_status_2_and_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is no run folder" in refusal(capsys, tmp_path / "nowhere")
    assert "holds no finished run" in refusal(capsys, tmp_path)
    assert "is running; only a finished run" in refusal(capsys, Run.create(tmp_path, "new").path)
    damaged = make_run(tmp_path)
    (damaged.path / "predictions" / "test.npz").write_bytes(b"no archive")
    assert "test.npz: is damaged" in refusal(capsys, damaged.path)
    assert "the following arguments are required: RUN" in refusal(capsys)


@pytest.mark.parametrize("script", ["evaluate", "compare", "published"])
def test_help_is_fast(script: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / f"{script}.py"), "--help"]
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        times.append(time.perf_counter() - start)
    assert f"python scripts/{script}.py" in done.stdout
    assert min(times) < 1.5
