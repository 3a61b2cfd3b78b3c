"""The project's commands: scripts in a clone, or the programs ``fmnist-NAME`` of an installed package."""

import importlib
import os
import shlex
import sys
from pathlib import Path

PREFIX = "fmnist-"
PACKAGE = Path(__file__).parents[1]


def run_program() -> None:
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


def shipped_path(argument: str) -> str:
    """Return where a shipped file is, for a path like ``configs/cnn.yaml`` that the working folder has not.

    Args:
        argument: A path, or a flag and a path like ``--config=configs/cnn.yaml``.
    """
    flag, equals, path = argument.rpartition("=")
    if Path(path).parts[:1] in (("configs",), ("scripts",)) and not os.path.exists(path):
        for folder in (PACKAGE, PACKAGE.parent):  # installed, and in a clone
            if (folder / path).exists():
                return f"{flag}{equals}{folder / path}"
    return argument
