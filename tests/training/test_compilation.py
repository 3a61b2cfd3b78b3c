"""Which trainings are compiled, and that one which is ends as exactly as others."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from fmnist.core.runs import Run
from fmnist.training import compilation
from fmnist.training.compilation import LEAST_MULTIPLY_ADDS, choose_compile, compiler_error
from fmnist.training.train import main
from tests.training.folder import checkpoint, equal

ROOT = Path(__file__).parents[2]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the networks that a training compiles; none really is."""
    names: list[str] = []
    monkeypatch.setattr(nn.Module, "compile", lambda network, **_: names.append(type(network).__name__))
    monkeypatch.setattr(compilation, "compiler_error", lambda: "")
    return names


@pytest.mark.parametrize(
    ("accelerator", "multiply_adds", "error", "chosen", "words"),
    [
        ("cpu", LEAST_MULTIPLY_ADDS, "", True, "compiled, as it is long"),
        ("cpu", LEAST_MULTIPLY_ADDS - 1, "", False, ""),
        ("cpu", LEAST_MULTIPLY_ADDS, "no g++", False, "not compiled, as no C++ compiler works here (no g++)"),
        ("cuda", LEAST_MULTIPLY_ADDS, "", False, ""),
    ],
)
def test_long_trainings_on_a_cpu_with_a_compiler_are_compiled(
    monkeypatch: pytest.MonkeyPatch,
    accelerator: str,
    multiply_adds: float,
    error: str,
    chosen: bool,
    words: str,
) -> None:
    monkeypatch.setattr(compilation, "compiler_error", lambda: error)
    assert choose_compile(accelerator, multiply_adds) == (chosen, words)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], False),  # 2 epochs of 500 images at 3 x 12,704 multiply-adds: 3.8e7
        (["--trainer.max_epochs", "3"], True),
        (["--trainer.max_epochs", "3", "--trainer.max_steps", "10"], False),  # the earlier end counts
        (["--trainer.max_epochs", "-1", "--trainer.max_steps", "11"], True),
        (["--trainer.max_epochs", "3", "--model.compile", "false"], False),
        (["--model.compile", "true"], True),
        (["--trainer.max_epochs", "3", "--trainer.limit_train_batches", "1"], False),  # for debugging
    ],
)
def test_the_cost_of_the_whole_training_decides(
    train: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    compiled: list[str],
    flags: list[str],
    expected: bool,
) -> None:
    monkeypatch.setattr(compilation, "LEAST_MULTIPLY_ADDS", 4e7)
    run = train(*flags)
    assert run.record["compiled"] == expected == (compiled == ["MLP"])
    assert (", compiled, as " in capsys.readouterr().out) == expected


def test_a_compiler_that_does_not_work_is_named() -> None:
    """Each process keeps what it has compiled, so a new one is asked."""
    code = "from fmnist.training.compilation import compiler_error; print('|', compiler_error())"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT,
        env={"PATH": "/nowhere", "CXX": "/nowhere/g++", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "/nowhere/g++" in answer.stdout.partition("| ")[2]


@pytest.mark.slow
@pytest.mark.skipif(bool(compiler_error()), reason="no C++ compiler works on this machine")
def test_a_compiled_training_that_is_stopped_ends_as_one_left_alone(
    train: Callable[..., Run], interrupted: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With batches of two sizes, 150 and 50; the resumed training meets them in another order."""
    monkeypatch.setattr(compilation, "LEAST_MULTIPLY_ADDS", 0)
    flags = ["--data.batch_size", "150", "--trainer.max_epochs", "3", "--ema", "0.9"]
    whole = train(*flags)
    assert whole.record["compiled"]
    cut = interrupted("training_step", 6, signal.SIGTERM, *flags)
    torch.compiler.reset()
    main(["--resume", str(cut.path)])
    for name in ("best", "last"):
        assert equal(checkpoint(Run(cut.path), name), checkpoint(whole, name))
