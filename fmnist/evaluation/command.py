"""What ``scripts/evaluate.py`` does: measure what was asked for, and write the report, run after run."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fmnist.core.commands import shipped_path
from fmnist.core.errors import InputError, quoted
from fmnist.core.runs import Run
from fmnist.data.arrays import images_of
from fmnist.data.of_run import data_of
from fmnist.evaluation.report import check_tested, write_report
from fmnist.robustness import photograph_tables
from fmnist.robustness.measure import ShiftedTestSet
from fmnist.robustness.real_photographs import prepare_photographs, write_photographs
from fmnist.robustness.shift_tables import summary
from fmnist.robustness.shifts import write_shifts


def evaluate(
    paths: Sequence[str],
    root: str = "data",
    shifts: int | str | None = None,
    photographs: str | None = None,
    classes: str | None = None,
) -> list[str]:
    """Evaluate runs; one that cannot be evaluated is named and stops no other.

    Args:
        paths: Run folders, ``logs/NAME``, or names of shipped networks.
        root: Folder of the data set.
        shifts: Also measure on this many shifted test images, or on ``all``.
        photographs: Also measure on the labelled photographs of this folder.
        classes: YAML file that maps its subfolders to classes.

    Returns:
        The paths of the runs that could not be evaluated.

    Raises:
        InputError: ``shifts``, ``photographs`` or ``classes`` is wrong.
    """
    failed: list[str] = []
    runs: dict[Path, tuple[str, Run]] = {}
    data = None
    for path in dict.fromkeys(paths):  # before anything is measured
        with _going_on(path, failed):
            run = Run.find(path, writes=True)
            check_tested(run)
            if shifts is not None:
                data = data_of(run, root)  # refuses other data, so one test set serves all runs
            runs.setdefault(run.path.resolve(), (path, run))
    test_set = None
    if data is not None:
        count = shifts if isinstance(shifts, int) else None
        test_set = ShiftedTestSet(images_of(data, "test"), count, progress=True)
    prepared = None
    if photographs is not None and runs:
        prepared = prepare_photographs(photographs, classes and shipped_path(classes))
    for path, run in runs.values():
        with _going_on(path, failed):
            if test_set is not None:
                print(*summary(write_shifts(run, data_of(run, root), test_set)), "", sep="\n")
            if prepared is not None:
                measured = write_photographs(run, prepared, root)
                print(photograph_tables.folder_table(measured).text(), "", sep="\n")
                print(*photograph_tables.summary(measured), *measured["notes"], "", sep="\n")
            metrics, lines = write_report(run, root)
            accuracy = metrics["test"]["accuracy"]
            print((run.path / "classification_report.txt").read_text(), *lines, sep="\n")
            print(
                f"test accuracy {accuracy['value']:.4f} (95 % {accuracy['low']:.4f} to "
                f"{accuracy['high']:.4f}); {quoted(run.path / 'report.html')}"
            )
    return [path for path in dict.fromkeys(paths) if path in failed]


@contextlib.contextmanager
def _going_on(path: str, failed: list[str]) -> Iterator[None]:
    """Print what is wrong with a run, and add its path to ``failed``, instead of ending the program."""
    try:
        yield
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        failed.append(path)
