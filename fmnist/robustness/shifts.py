"""The files that `scripts/evaluate.py --shifts` leaves in a run folder: write them, and read them again."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from matplotlib.figure import Figure

from fmnist import figures
from fmnist.core.commands import shell_command
from fmnist.core.errors import InputError, quoted, reports_unwritable
from fmnist.core.files import to_json, write_file
from fmnist.core.runs import Run
from fmnist.data.arrays import images_of
from fmnist.data.of_run import data_of
from fmnist.inference.predictor import Predictor
from fmnist.robustness import tables
from fmnist.robustness.corruptions import CORRUPTIONS, SEVERITIES
from fmnist.robustness.measure import IMAGES, ShiftedTestSet, measure_detection, measure_shifts

FILE = "shifts.json"


def write_shifts(
    runs: Sequence[Run],
    root: str = "data",
    count: int | None = IMAGES,
    progress: bool = False,
    on_error: Callable[[Run, InputError], None] | None = None,
) -> Iterator[dict[str, Any] | None]:
    """Measure runs on shifted test images, one after the other.

    Writes ``shifts.json``, ``shifts.csv`` and ``figures/shifts.png`` into each run folder. The photographs,
    which take most of the time, are made once for all runs.

    Args:
        runs: The runs.
        root: Folder of the data set.
        count: Size of the stratified subset of the test images; None takes all.
        progress: Whether a progress bar is shown.
        on_error: Called with a run and what is wrong with it, then None is yielded; by default it is raised.

    Yields:
        The content of each run's ``shifts.json``, once it is written.

    Raises:
        InputError: A run is not finished, its data are not here, there are not so many test images, or its
            folder cannot be written.
    """
    test_set: ShiftedTestSet | None = None
    for run in runs:
        try:
            predictor, data = Predictor(run), data_of(run, root)
            if test_set is None:  # data_of refuses runs with other data, so it serves all of them
                test_set = ShiftedTestSet(images_of(data, "test"), count, progress)
            shifts = measure_shifts(predictor, test_set)
            shifts["detection"] = measure_detection(predictor, data)
            with reports_unwritable(quoted(run.path)):
                write_file(run.path / FILE, to_json(shifts))
                write_file(run.path / "shifts.csv", tables.corruption_table(shifts).csv())
                heat_map = draw_corruptions(shifts, str(run.record.get("name")))
                figures.save(heat_map, run.path / "figures" / "shifts.png")
        except InputError as error:
            if on_error is None:
                raise
            on_error(run, error)
            yield None
        else:
            yield shifts


def read_shifts(run: Run) -> dict[str, Any] | None:
    """Return the content of a run's ``shifts.json``; None where nothing was measured.

    Raises:
        InputError: The file is damaged.
    """
    path = run.path / FILE
    try:
        shifts: dict[str, Any] = json.loads(path.read_bytes())
        tables.run_tables(shifts)  # these two use all that must be there
        tables.summary(shifts)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        again = shell_command("evaluate", str(run.path), "--shifts")
        raise InputError(f"{quoted(path)}: is damaged ({error!r}); to write it anew: {again}") from None
    return shifts


def draw_corruptions(shifts: dict[str, Any], name: str) -> Figure:
    """Draw the accuracy under each corruption and severity as a heat map, the flips below it."""
    levels = shifts["corruptions"] | {flip: [value] for flip, value in shifts["flips"].items()}
    mean, clean = shifts["mean_corruption_accuracy"]["accuracy"], shifts["clean"]["accuracy"]
    return figures.heat_map(
        {tables.readable(corruption): values for corruption, values in levels.items()},
        columns=[str(severity) for severity in SEVERITIES],
        breaks=[len(CORRUPTIONS)],
        title=f"{name} on {shifts['images']:,} corrupted test images: mean accuracy {mean:.3f}, "
        f"{clean:.3f} uncorrupted",
        xlabel="severity",
    )
