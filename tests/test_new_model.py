"""The README's "Add a model", done: its file and its YAML train, and nothing else is touched."""

import re
import sys
from pathlib import Path

import pytest

from fmnist.core.runs import Run
from fmnist.training import outputs
from fmnist.training.train import main

README = Path(__file__).parents[1] / "README.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the README's two files, on Python's path."""
    section = README.read_text().partition("\n## Add a model\n")[2].partition("\n## ")[0]
    for kind, suffix in (("python", "py"), ("yaml", "yaml")):
        (code,) = re.findall(rf"```{kind}\n(.*?)```", section, re.S)
        (tmp_path / f"my_model.{suffix}").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])
    monkeypatch.delitem(sys.modules, "my_model", raising=False)
    return tmp_path


def flags(root: Path, folder: Path) -> list[str]:
    config = ["--config", str(folder / "my_model.yaml"), "--logs", str(folder / "logs")]
    data = ["--data.root", str(root), "--data.val_size", "100", "--data.batch_size", "50"]
    return [*config, *data, "--trainer.precision", "32-true", "--trainer.accelerator", "cpu"]


def test_a_new_model_is_one_file_and_one_yaml(
    synthetic_root: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = main(flags(synthetic_root, folder))
    assert made is not None
    run = Run(made.path)
    assert run.path.parts[-2:] == ("linear", "version_0")
    assert run.record["status"] == "finished"
    assert run.record["parameters"] == 785 * 10
    assert run.record["metrics"]["test"]["accuracy"] > 0.5
    assert (run.path / "figures" / "confusion_matrix.png").exists()
    assert capsys.readouterr().out.startswith("Linear, 7,850 parameters")


def test_a_new_argument_is_a_flag(
    synthetic_root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "draw_figures", lambda *_: {})
    monkeypatch.setattr(outputs, "write_tensorboard", lambda *_: None)
    path = folder / "my_model.py"
    code = path.read_text()
    assert "self, **training" in code
    path.write_text(code.replace("self, **training", "self, hidden: int = 3, **training"))
    made = main([*flags(synthetic_root, folder), "--model.hidden", "7", "--trainer.max_epochs", "1"])
    assert made is not None
    assert "hidden: 7" in (made.path / "config.yaml").read_text()
