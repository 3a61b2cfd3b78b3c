"""The set-up files agree with each other and with the code."""

import configparser
import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


@functools.cache
def requirements() -> dict[str, Requirement]:
    """Return everything that setup.cfg requires, by canonical name."""
    config = configparser.ConfigParser(inline_comment_prefixes=["#"])
    config.read(ROOT / "setup.cfg")
    blocks = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    parsed = [Requirement(line) for block in blocks for line in block.splitlines() if line.strip()]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


def _constraints() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    parsed = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in parsed}


def test_every_folder_is_a_package():
    for path in (ROOT / "fmnist").rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), f"{path.parent} would not be installed"


def test_every_package_is_listed():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    folders = {path.parent for path in (ROOT / "fmnist").rglob("__init__.py")}
    assert {".".join(folder.relative_to(ROOT).parts) for folder in folders} <= listed


def test_constraints_pin_every_requirement_within_its_range():
    pins = _constraints()
    for name, requirement in requirements().items():
        (version,) = pins[name].specifier
        assert version.operator == "=="
        assert requirement.specifier.contains(version.version), f"{pins[name]} is not {requirement}"


def test_constraints_suit_every_platform():
    assert not [name for name in _constraints() if name.startswith(("nvidia", "cuda", "triton"))]
    assert str(_constraints()["torch"].specifier) != "==2.13.0"


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_help_names_every_target():
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    assert shown.returncode == 0
    assert [line.split()[0] for line in shown.stdout.splitlines()[1:]] == targets[1].split()


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize(
    ("fails", "said"),
    [("sys.exit", "Python 3.10 or newer is needed"), ("ensurepip", "install its venv module, or uv")],
)
def test_make_venv_says_what_is_missing(tmp_path, fails, said):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncase "$2" in *{fails}*) exit 1;; esac\n')
    python.chmod(0o755)
    for name in ("make", "sh", "touch"):
        (tmp_path / name).symlink_to(shutil.which(name))
    command = ["make", "venv", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(
        command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.fixture
def clone(tmp_path):
    """A folder with what make needs, and a python that writes down how it is called."""
    folder = tmp_path / "clone with space"
    folder.mkdir()
    for name in ("Makefile", "setup.cfg", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    for environment in (folder / ".venv", tmp_path / "lent"):
        python = environment / "bin" / "python"
        python.parent.mkdir(parents=True)
        python.write_text('#!/bin/sh\necho "$PYTHONPATH: $*" >> "$0.log"\n')
        python.chmod(0o755)
    return folder


def _make(clone, *arguments):
    done = subprocess.run(["make", *arguments], cwd=clone, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    log = clone / arguments[-1].removeprefix("VENV=") / "bin" / "python.log"
    calls = log.read_text().splitlines()
    log.unlink()
    assert all(call.split(":")[0] == str(clone) for call in calls)  # whatever clone the environment holds
    return [call.split(": ", 1)[1] for call in calls], done.stderr


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize("marker", [None, "", "/another/clone\n"])
def test_make_changes_no_environment_that_was_made_elsewhere(clone, tmp_path, marker):
    lent = tmp_path / "lent"
    if marker is not None:
        (lent / ".fmnist-installed").write_text(marker)
        os.utime(lent / ".fmnist-installed", (0, 0))  # older than the clone's files
    calls, said = _make(clone, "lint", "VENV=../lent")
    assert "Using ../lent as it is" in said
    assert len(calls) == 3
    assert not any("pip" in call for call in calls)
    assert sorted(path.name for path in lent.iterdir()) == sorted(
        ["bin", *([".fmnist-installed"] if marker is not None else [])]
    )


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize("environment", [".venv", "../lent"])
def test_make_installs_into_its_own_environment_when_the_requirements_change(clone, tmp_path, environment):
    marker = clone / environment / ".fmnist-installed"
    if environment == "../lent":  # made by this clone before
        marker.write_text(f"{clone}\n")
        os.utime(marker, (0, 0))
    calls, said = _make(clone, "lint", f"VENV={environment}")
    assert "Using" not in said
    assert [call for call in calls if "pip install" in call]
    assert marker.read_text() == f"{clone}\n"
    calls, _ = _make(clone, "lint", f"VENV={environment}")
    assert not any("pip" in call for call in calls)
