"""``scripts/export.py`` as people call it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from fmnist.core.runs import Run
from fmnist.inference import export as module
from fmnist.models.mlp import LitMLP
from scripts import export
from tests.inference.networks import make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "logs", LitMLP, widths=[16])


@pytest.fixture
def refusal(refused: Callable[..., str]) -> Callable[..., str]:
    return partial(refused, export.main)


def test_a_name_and_an_output_are_enough(
    run: Run, synthetic_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a new folder" / "modèle.pt2"
    args = ["--format", "torch", "--output", path, "--data.root", synthetic_root]
    export.main([str(value) for value in (run.path.parent, *args)])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"'{path}': 0.")
    assert path.exists()
    assert len(printed) == 6


def test_what_cannot_be_exported_is_refused_at_once(
    run: Run, tmp_path: Path, refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "capture", lambda model: pytest.fail("work was begun"))
    svm = Run.create(tmp_path, "svm", kind="scikit-learn", status="finished").path
    assert f"error: {svm}: is a scikit-learn run, and only networks are exported" in refusal(svm)
    half = Run.create(tmp_path, "half", kind="lightning").path
    assert "is running, or was killed, and only a finished run has a model" in refusal(
        half, "--format", "torch"
    )
    assert "invalid choice: 'tflite'" in refusal(run.path, "--format", "tflite")
    pt2 = refusal(run.path, "--format", "torch", "--output", tmp_path / "new" / "model.onnx")
    assert "model.onnx --format torch: must end in .pt2" in pt2
    assert not (tmp_path / "new").exists()
    (tmp_path / "folder.pt2").mkdir()
    taken = refusal(run.path, "--format", "torch", "--output", tmp_path / "folder.pt2")
    assert "folder.pt2 --format torch: is a folder" in taken
    (tmp_path / "file").touch()
    inside = refusal(run.path, "--format", "torch", "--output", tmp_path / "file" / "model.pt2")
    assert "model.pt2: cannot be written (" in inside


def test_missing_packages_are_named_with_the_command(
    run: Run, refusal: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = module.importlib.util.find_spec
    absent = "onnxruntime"
    monkeypatch.setattr(
        module.importlib.util, "find_spec", lambda name: None if name == absent else installed(name)
    )
    form = replace(module.FORMATS["onnx"], packages=("json", absent))
    monkeypatch.setitem(module.FORMATS, "onnx", form)
    message = "error: --format onnx: needs onnxruntime (pip install -e '.[export]'); --format torch needs"
    assert refusal(run.path).startswith(message)
    assert not (run.path / "export").exists()


def test_a_damaged_checkpoint_is_refused_and_leaves_no_file(
    run: Run, synthetic_root: Path, refusal: Callable[..., str]
) -> None:
    (run.path / "checkpoints" / "best.ckpt").write_bytes(b"no checkpoint")
    assert "best.ckpt: is damaged" in refusal(run.path, "--format", "torch", "--data.root", synthetic_root)
    assert not list(run.path.glob("export/*"))
