"""What the scripts have in common: help that comes at once, and the refusal of a folder that is no run."""

import importlib
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fmnist.explanation.methods import METHODS
from fmnist.inference.answers import DOUBTFUL_FLAGS, LEAST_PROBABILITY, UNLIKE
from fmnist.inference.formats import FORMATS

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "torchvision", "lightning", "matplotlib", "sklearn", "captum", "onnx", "optuna", "gradio"}
REASONS = [UNLIKE, "close call between A and B", ", ".join(DOUBTFUL_FLAGS)]


@pytest.mark.parametrize(
    ("command", "texts"),
    [
        ("baseline --config configs/baselines/hog_svm.yaml --help", ["--estimator.ARGUMENT VALUE"]),
        ("baseline --config configs/baselines/hog_svm.yaml --print_config", ["name: hog-svm"]),
        ("benchmark --help", ["loader, step, epoch", "--turns"]),
        ("compare --help", ["python scripts/compare.py", "--allow-mixed"]),
        ("demo --help", ["python scripts/demo.py", "--share", f"(default: {LEAST_PROBABILITY})"]),
        ("evaluate --help", ["python scripts/evaluate.py", "--shifts [N]"]),
        ("explain --help", ["--faithfulness [N]", *METHODS, *(method.title for method in METHODS.values())]),
        ("export --help", [f"{name} for {form.runtime} ({form.suffix})" for name, form in FORMATS.items()]),
        ("study --help", ["python scripts/study.py", "--search FILE", "--finish N"]),
        ("train_segmentation --help", ["python scripts/train_segmentation.py", "--scenes N"]),
        ("predict --help", [*REASONS, f"(default: {LEAST_PROBABILITY})"]),
    ],
)
def test_help_is_complete_and_imports_nothing_heavy(command: str, texts: list[str]) -> None:
    script, *flags = command.split()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", f"scripts/{script}.py", *flags],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    assert [text for text in texts if " ".join(text.split()) not in shown] == []
    heavy = HEAVY if script == "baseline" else HEAVY | {"numpy"}
    assert not heavy & {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "fmnist").rglob("*.py"))
    if "\ndef main(" in path.read_text()
]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_with_a_main_runs_by_itself(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(SystemExit) as stop:
        runpy.run_module(module, run_name="__main__")
    assert not stop.value.code
    assert capsys.readouterr().out.startswith("usage: ")


@pytest.mark.parametrize("words", ["evaluate", "explain", "export", "predict a.png"])
def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, refused: Callable[..., str], words: str) -> None:
    script, *others = words.split()
    main = importlib.import_module(f"scripts.{script}").main
    assert refused(main, tmp_path, *others).startswith(f"error: {tmp_path}: holds no finished run")


@pytest.mark.parametrize("script", ["evaluate", "compare", "explain", "export", "predict"])
def test_a_path_in_a_message_can_be_pasted(script: str, tmp_path: Path, refused: Callable[..., str]) -> None:
    missing = tmp_path / "my logs" / "it's"
    main = importlib.import_module(f"scripts.{script}").main
    line = refused(main, missing, *(["picture.png"] if script == "predict" else []))
    assert shlex.quote(str(missing)) in line
