"""``scripts/published.py``: every published system, one after the other."""

import json
import shutil
from pathlib import Path

import pytest

from fmnist.core.runs import Run
from scripts import published
from tests.evaluation.made import make_run

TRAINER = """
import sys
from pathlib import Path
from tests.evaluation.made import make_run
values = dict(zip(sys.argv[1::2], sys.argv[2::2]))
name = Path(values["--config"]).stem
print("trains", name, values["--data.root"])
if name == "broken":
    sys.exit(1)
run = make_run(Path(values["--logs"]), name)
(run.path / "config.yaml").write_text(Path(values["--config"]).read_text() + "seed: 0\\n")
"""


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three configurations, one of which cannot be trained."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    trainer = tmp_path / "trainer.py"
    trainer.write_text(TRAINER)
    folder = tmp_path / "configs"
    folder.mkdir()
    for name in ("broken", "cnn", "mlp"):
        path = folder / f"{name}.yaml"
        path.write_text(f"# python {trainer} --config {path}\nname: {name}\n")
    return folder


def run(configs: Path) -> int:
    logs = configs.parent / "logs"
    try:
        published.main(["--configs", str(configs), "--logs", str(logs), "--data.root", str(configs)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_one_failure_does_not_stop_the_rest(configs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(configs) == 1
    printed = capfd.readouterr()
    assert f"trains cnn {configs}" in printed.out
    assert printed.err.splitlines()[-1] == f"failed: {configs / 'broken.yaml'}"
    logs = configs.parent / "logs"
    assert Run.find(logs / "mlp").record["status"] == "finished"
    assert (logs / "published" / "compare.html").exists()


def test_what_is_done_is_not_done_again(configs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = make_run(configs.parent / "logs", "cnn")
    (done.path / "config.yaml").write_text("name: cnn\nseed: 0\n")
    (configs / "broken.yaml").unlink()
    assert run(configs) == 0
    printed = capfd.readouterr().out
    assert "trains mlp" in printed
    assert "trains cnn" not in printed
    assert "2 of 2 systems" in printed
    assert run(configs) == 0
    assert "trains" not in capfd.readouterr().out


def test_a_run_of_another_configuration_does_not_count(
    configs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shorter = make_run(configs.parent / "logs", "cnn")
    (shorter.path / "config.yaml").write_text("name: cnn\ntrainer: {max_epochs: 1}\n")
    with (configs / "cnn.yaml").open("a") as file:
        file.write("trainer: {max_epochs: 4}\n")
    (configs / "broken.yaml").unlink()
    assert run(configs) == 0
    assert "trains cnn" in capfd.readouterr().out


def test_a_file_without_a_command_is_named_and_passed_over(
    configs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (configs / "broken.yaml").write_text("name: broken\n")
    assert run(configs) == 1
    assert "broken.yaml: its first line is no command" in capfd.readouterr().err


def test_an_empty_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        published.main(["--configs", str(tmp_path)])
    assert stop.value.code == 2
    assert "holds no YAML file" in capsys.readouterr().err


def test_the_projects_own_rows_each_begin_with_their_command() -> None:
    root = Path(__file__).parents[2]
    for path in (root / "configs" / "published").glob("*.yaml"):
        script, flag, config = path.read_text().partition("\n")[0].split()[2:5]
        assert (root / script).suffix == ".py"
        assert (flag, root / config) == ("--config", path)


def test_runs_are_only_read_by_their_own_name(configs: Path) -> None:
    shutil.rmtree(configs.parent / "logs", ignore_errors=True)
    stopped = make_run(configs.parent / "logs", "cnn")
    stopped.finish("stopped")
    assert run(configs) == 1
    assert json.loads((configs.parent / "logs" / "cnn" / "version_1" / "run.json").read_text())["seed"] == 0
