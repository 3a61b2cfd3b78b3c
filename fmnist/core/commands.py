"""The project's commands: scripts in a clone, or the programs ``fmnist-NAME`` of an installed package."""

import argparse
import os
import runpy
import shlex
import sys
from pathlib import Path

PREFIX = "fmnist-"
PACKAGE = Path(__file__).parents[1]
RUN_HELP = "a run folder, logs/NAME (its newest finished run) or a shipped NAME"


def run_program() -> None:
    """Run the script that an installed program is named after."""
    name = Path(sys.argv[0]).stem.removeprefix(PREFIX).replace("-", "_")
    runpy.run_path(str(_shipped(f"scripts/{name}.py")), run_name="__main__")


def shell_command(name: str, *args: str) -> str:
    """Return the line that runs the script ``name``, as one can paste it where this process was started."""
    installed = Path(sys.argv[0]).name.startswith(PREFIX)
    program = [PREFIX + name.replace("_", "-")] if installed else ["python", f"scripts/{name}.py"]
    return shlex.join([*program, *args])


def command_parser(name: str, description: str | None, epilog: str = "") -> argparse.ArgumentParser:
    """Return a parser for the script ``name``, with ``--data.root`` and an epilog that keeps its lines."""
    parser = argparse.ArgumentParser(
        prog=shell_command(name),
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root = "folder of the data set (default: %(default)s)"
    parser.add_argument("--data.root", dest="root", default="data", metavar="DIR", help=root)
    return parser


def shipped_path(argument: str) -> str:
    """Return where a shipped file is, for a path like ``configs/cnn.yaml`` that the working folder has not.

    The argument may also be a flag and a path, like ``--config=configs/cnn.yaml``.
    """
    flag, equals, path = argument.rpartition("=")
    is_ours = Path(path).parts[:1] in (("configs",), ("scripts",)) and not os.path.exists(path)
    shipped = _shipped(path) if is_ours else None
    return argument if shipped is None else f"{flag}{equals}{shipped}"


def _shipped(path: str) -> Path | None:
    """Return a shipped file or folder, which is in the package where that is installed, else in the clone."""
    return next((place / path for place in (PACKAGE, PACKAGE.parent) if (place / path).exists()), None)
