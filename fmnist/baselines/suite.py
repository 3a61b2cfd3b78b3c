"""Every baseline, one after another: what is finished is skipped, what fails holds nothing up."""

import argparse
import contextlib
import itertools
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from fmnist.baselines.config import Config, configure
from fmnist.core.errors import InputError, exits_cleanly
from fmnist.core.runs import Run

COMMAND = "# python scripts/baseline.py "
COLUMNS = ("baseline", "accuracy", "macro F1", "fit s", "predict s", "MB", "fitted by")


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Run the suite and print its table; exit status 1 if one of them failed."""
    parser = argparse.ArgumentParser(
        prog="python -m fmnist.baselines.suite",
        description="Fit every baseline that has no finished run of the same configuration, and print a "
        "table. Flags of scripts/baseline.py, like --data.train_size 5000, count for all of them.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "paths", nargs="*", default=["configs/baselines"], help="YAML files and folders of them"
    )
    words = list(sys.argv[1:] if args is None else args)
    flags = list(itertools.dropwhile(lambda word: not word.startswith("--") or word == "--help", words))
    paths = find_configurations(parser.parse_args(words[: len(words) - len(flags)]).paths)
    rows, failed = [], []
    for place, path in enumerate(paths, start=1):
        print(f"\n[{place}/{len(paths)}] {path}", flush=True)
        run = _fit(path, flags)
        if run is None:
            failed.append(str(path))
        else:
            rows.append(row(run))
    print("\n" + table(rows))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        sys.exit(1)


def find_configurations(paths: Sequence[str]) -> list[Path]:
    """Return the YAML files of ``scripts/baseline.py``, those that are made of other runs last.

    Raises:
        InputError: There are none.
    """
    found: list[tuple[int, Path]] = []
    for path in map(Path, paths):
        for file in sorted(path.glob("*.yaml")) if path.is_dir() else [path]:
            try:
                text = file.read_text()
            except OSError as error:
                raise InputError(f"{file}: cannot be read ({error.strerror})") from None
            if text.startswith(COMMAND):
                found.append(("\nblend:" in text, file))
    if not found:
        raise InputError(f"{' '.join(paths)}: there is no YAML that begins with '{COMMAND}'")
    return [file for _, file in sorted(found)]


def finished_run(config: Config) -> Run | None:
    """Return the newest finished run of the same configuration, wherever its data came from."""
    wanted = _comparable(config.dump())
    found = []
    for path in Path(config.logs, config.name).glob("version_*/run.json"):
        with contextlib.suppress(InputError, OSError):  # a damaged run is no finished one
            run = Run(path.parent)
            same = _comparable((run.path / "config.yaml").read_text()) == wanted
            if same and run.record.get("status") == "finished":
                found.append(run)
    return max(found, key=lambda run: run.version, default=None)


def _comparable(text: str) -> dict[str, Any]:
    content = yaml.safe_load(text)
    data = {name: value for name, value in content["data"].items() if name != "root"}
    return {name: value for name, value in content.items() if name != "logs"} | {"data": data}


def _fit(path: Path, flags: list[str]) -> Run | None:
    """Return the finished run of a configuration, fitted now if there is none, or None if that fails."""
    from fmnist.baselines.fit import find_members, fit_baseline

    try:
        config = configure(["--config", str(path), *flags])
        if run := finished_run(find_members(config)[0]):
            print(f"finished already: {run.path}")
            return run
        command = ["python", "scripts/baseline.py", "--config", str(path), *flags]
        return fit_baseline(config, shlex.join(command))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
    except Exception:  # a defect in one leaves the others alone
        traceback.print_exc()
    return None


def row(run: Run) -> list[str]:
    """Return a run's row of the table."""
    record = run.record
    test = record["metrics"]["test"]
    return [
        record["name"],
        f"{test['accuracy']:.4f}",
        f"{test['f1']:.4f}",
        f"{record['fit_seconds']:.1f}",
        f"{record['predict_seconds']:.1f}",
        f"{record['size_bytes'] / 1e6:.1f}",
        record["engine"],
    ]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows under ``COLUMNS`` as aligned text: names to the left, numbers to the right."""
    cells = [COLUMNS, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(COLUMNS))]
    outer = (0, len(COLUMNS) - 1)
    lines = []
    for line in cells:
        parts = [
            cell.ljust(width) if column in outer else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    main()
