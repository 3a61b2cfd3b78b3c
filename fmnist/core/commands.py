"""The project's commands: scripts in a clone, or the programs ``fmnist-NAME`` of an installed package."""

import importlib
import os
import shlex
import sys
from pathlib import Path

PREFIX = "fmnist-"
PACKAGE = Path(__file__).parents[1]


def main() -> None:
    """Run the script that an installed program is named after."""
    name = Path(sys.argv[0]).stem.removeprefix(PREFIX)
    importlib.import_module(f"fmnist.scripts.{name.replace('-', '_')}").main()


def shell_command(name: str, *args: str) -> str:
    """Return the line that runs a script, as one can paste it where this process was started.

    Args:
        name: Of the script, e.g. ``train``.
        args: Its arguments.
    """
    installed = Path(sys.argv[0]).name.startswith(PREFIX)
    program = [PREFIX + name.replace("_", "-")] if installed else ["python", f"scripts/{name}.py"]
    return shlex.join([*program, *args])


def config_path(path: str) -> str:
    """Return the shipped YAML for a path like ``configs/cnn.yaml`` that is not below the working folder."""
    shipped = next((folder for folder in (PACKAGE, PACKAGE.parent) if (folder / "configs").is_dir()), PACKAGE)
    is_shipped = Path(path).parts[:1] == ("configs",) and not os.path.exists(path)
    return str(shipped / path) if is_shipped and (shipped / path).exists() else path
