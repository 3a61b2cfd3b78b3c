"""``scripts/compare.py`` as people call it."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from fmnist.core.runs import Run
from scripts import compare
from tests.evaluation.made import make_run, predictions


def test_it_compares_every_finished_run_below_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path, "cnn", skill=3.0)
    make_run(tmp_path, "mlp")
    stopped = Run.create(tmp_path, "resnet", kind="lightning")
    stopped.finish("stopped")
    output = tmp_path / "comparison"
    compare.main([str(tmp_path), "--output", str(output), "--data.root", str(tmp_path)])
    printed = capsys.readouterr().out
    resume = f"python scripts/train.py --resume {stopped.path}"
    assert f"skipped {stopped.path}: is stopped, not finished; to continue: {resume}\n" in printed
    assert "| cnn | " in printed
    assert str(output / "compare.html") in printed
    names = {path.name for path in output.iterdir()}
    tables = ("results", "pairs", "gaps", "class_f1", "published", "runs")
    assert names == {"compare.html", *(f"{name}.{kind}" for name in tables for kind in ("csv", "md"))}
    monkeypatch.chdir(tmp_path)
    compare.main([str(tmp_path), "--data.root", str(tmp_path)])  # sees no run in the folder of the page
    assert (tmp_path / "logs" / "comparison" / "compare.html").exists()


def test_bad_input_ends_with_status_2_and_the_reason(tmp_path: Path, refused: Callable[..., str]) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    assert "holds no run" in refused(compare.main, logs)
    assert "is no run folder" in refused(compare.main, tmp_path / "nowhere")
    one = make_run(logs)
    assert "needs two models" in refused(compare.main, logs)
    make_run(tmp_path / "pair")
    make_run(tmp_path / "pair", "mlp")
    unknown = refused(compare.main, tmp_path / "pair", "--reference", "vgg", "--output", tmp_path / "out")
    assert "--reference vgg: must be a model measured" in unknown
    assert f"to measure the others: python scripts/evaluate.py {tmp_path / 'pair' / 'cnn'}" in unknown
    other = make_run(logs, "mlp", test=predictions(1, size=100))
    message = refused(compare.main, logs, "--output", tmp_path / "out")
    assert "different test images" in message
    assert str(one.path) in message
    assert str(other.path) in message
    (other.path / "predictions" / "test.npz").unlink()
    assert "test.npz: is missing" in refused(compare.main, logs)
    (other.path / "predictions" / "test.npz").write_bytes(b"")
    assert "test.npz: is damaged" in refused(compare.main, logs)
    assert not (tmp_path / "out").exists()


def test_all_seeds_are_taken_and_paths_can_be_pasted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], refused: Callable[..., str]
) -> None:
    logs = tmp_path / "my logs"
    for name, seed in (("cnn", 0), ("cnn", 1), ("mlp", 3), ("mlp", 5)):
        make_run(logs, name, seed, skill=3.0 if name == "cnn" else 1.0)
    stopped = Run.create(logs, "cnn")
    stopped.finish("stopped")
    output = logs / "out"
    compare.main([str(logs / "cnn"), str(logs / "mlp"), "--output", str(output), "--data.root", "nowhere"])
    printed = capsys.readouterr().out
    assert "| 0, 1 |" in printed
    assert "| 3, 5 |" in printed
    words = shlex.split(printed.replace(":", " ").replace("’", ""))
    assert {str(stopped.path), str(output / "compare.html")} <= set(words)
    assert f"'{logs / 'nowhere'}': is no run folder" in refused(compare.main, logs / "nowhere")
