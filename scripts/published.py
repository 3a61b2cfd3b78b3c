"""Train every published system that has no finished run yet, then compare them all."""

import argparse
import contextlib
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from fmnist.core.errors import InputError, exits_cleanly
from fmnist.core.runs import Run

EPILOG = "Each YAML begins with the command that trains it. One that fails does not stop the rest."


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Reproduce the published systems as the command line says; exit status 1 if one could not be trained."""
    parser = argparse.ArgumentParser(prog="python scripts/published.py", description=__doc__, epilog=EPILOG)
    parser.add_argument("--configs", default="configs/published", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--logs", default="logs", metavar="DIR", help="default: %(default)s")
    parser.add_argument(
        "--data.root", dest="root", default="data", metavar="DIR", help="default: %(default)s"
    )
    options = parser.parse_args(args)

    from fmnist.evaluation.comparison import write_comparison

    configs = sorted(Path(options.configs).glob("*.yaml"))
    if not configs:
        raise InputError(f"--configs {options.configs}: holds no YAML file")
    failed = [path for path in configs if not _train(path, options.logs, options.root)]
    finished = [folder for path in configs if (folder := _finished(path, options.logs))]
    if len(finished) > 1:
        output = Path(options.logs) / "published"
        write_comparison(finished, output, options.root)
        print(f"{output / 'compare.html'}: {len(finished)} of {len(configs)} systems")
    if failed:
        print(f"failed: {' '.join(map(str, failed))}", file=sys.stderr)
        sys.exit(1)


def _train(path: Path, logs: str, root: str) -> bool:
    """Run the command in a YAML's first line, unless that is done; return whether a finished run is there."""
    if folder := _finished(path, logs):
        print(f"{path}: done, {folder}", flush=True)
        return True
    line = path.read_text().partition("\n")[0]
    program, *rest = shlex.split(line.lstrip("# ")) or [""]
    if program != "python":
        print(f"{path}: its first line is no command, but {line!r}", file=sys.stderr)
        return False
    print(f"{path}: {line.lstrip('# ')}", flush=True)
    command = [sys.executable, *rest, "--logs", logs, "--data.root", root]
    return subprocess.run(command, check=False).returncode == 0 and _finished(path, logs) is not None


def _finished(path: Path, logs: str) -> Path | None:
    """Return the newest finished run of a configuration, or None."""
    config = yaml.safe_load(path.read_text()) or {}
    runs = Run.all(Path(logs) / str(config.get("name")))
    for run in sorted(runs, key=lambda run: run.version, reverse=True):
        with contextlib.suppress(OSError, yaml.YAMLError):
            same = _holds(yaml.safe_load((run.path / "config.yaml").read_text()), config)
            if same and run.record.get("status") == "finished":
                return run.path
    return None


def _holds(config: Any, part: Any) -> bool:
    """Tell whether a resolved configuration has every key and value of a YAML."""
    if isinstance(part, dict):
        return isinstance(config, dict) and all(_holds(config.get(key), held) for key, held in part.items())
    return config == part


if __name__ == "__main__":
    main()
