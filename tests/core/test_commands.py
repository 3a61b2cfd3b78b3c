"""Scripts in a clone, and the same as programs of an installed package."""

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fmnist.core import commands

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the package as setup.cfg has it installed, and its programs in ``bin``."""
    site = tmp_path_factory.mktemp("site")
    config = configparser.ConfigParser(inline_comment_prefixes=["#"])
    config.read(ROOT / "setup.cfg")
    places = dict(line.split(" = ") for line in config["options"]["package_dir"].split("\n") if line)
    for package in config["options"]["packages"].split():
        source = ROOT / places.get(package, package.replace(".", "/"))
        target = site.joinpath(*package.split("."))
        shutil.copytree(source, target, ignore=lambda folder, names: {"__pycache__"}, dirs_exist_ok=True)
    (site / "bin").mkdir()
    for line in config["options.entry_points"]["console_scripts"].strip().splitlines():
        name, target = line.split(" = ")
        module, function = target.split(":")
        program = f"#!{sys.executable}\nfrom {module} import {function}\n{function}()\n"
        (site / "bin" / name).write_text(program)
        (site / "bin" / name).chmod(0o755)
    return site


def _run(installed: Path, folder: Path, name: str, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(installed), "HOME": "/nonexistent", "OMP_NUM_THREADS": "1"}
    program = installed / "bin" / name
    return subprocess.run(
        [str(program), *args], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize(
    ("name", "yaml"),
    [
        pytest.param("train", "mlp", marks=pytest.mark.slow),  # compiles and imports Lightning
        ("baseline", "baselines/knn"),
    ],
)
def test_installed_programs_know_the_shipped_configurations(
    installed: Path, tmp_path: Path, name: str, yaml: str
) -> None:
    done = _run(installed, tmp_path, f"fmnist-{name}", "--config", f"configs/{yaml}.yaml", "--print_config")
    assert done.returncode == 0, done.stderr
    assert f"name: {Path(yaml).name}\n" in done.stdout


def test_every_script_is_a_program(installed: Path) -> None:
    scripts = {path.stem.replace("_", "-") for path in (ROOT / "scripts").glob("*.py")}
    assert {path.name.removeprefix("fmnist-") for path in (installed / "bin").iterdir()} == scripts


def test_lines_to_paste_are_scripts_in_a_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts/train.py"])
    line = commands.shell_command("train_segmentation", "a folder")
    assert line == "python scripts/train_segmentation.py 'a folder'"
    monkeypatch.setattr(sys, "argv", ["/usr/bin/fmnist-compare"])
    assert commands.shell_command("train_segmentation", "a folder") == "fmnist-train-segmentation 'a folder'"


def test_shipped_configurations_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert commands.shipped_path("configs/cnn.yaml") == str(ROOT / "configs" / "cnn.yaml")
    assert commands.shipped_path("configs/none.yaml") == "configs/none.yaml"
    assert commands.shipped_path("--config=configs/cnn.yaml") == f"--config={ROOT / 'configs' / 'cnn.yaml'}"
    assert commands.shipped_path("configs/baselines") == str(ROOT / "configs" / "baselines")
    assert commands.shipped_path("cnn.yaml") == "cnn.yaml"
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "cnn.yaml").touch()
    assert commands.shipped_path("configs/cnn.yaml") == "configs/cnn.yaml"
