"""The files that `scripts/evaluate.py --shifts` leaves in a run folder: write them, and read them again."""

import json
from typing import Any

from matplotlib.figure import Figure

from fmnist import figures
from fmnist.core.commands import shell_command
from fmnist.core.errors import InputError, quoted, reports_unwritable
from fmnist.core.files import to_json, write_file
from fmnist.core.runs import Run
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.inference.predictor import Predictor
from fmnist.robustness import shift_tables
from fmnist.robustness.corruptions import CORRUPTIONS, SEVERITIES
from fmnist.robustness.measure import ShiftedTestSet, measure_detection, measure_shifts

FILE = "shifts.json"


def write_shifts(run: Run, data: FashionMNISTDataModule, test_set: ShiftedTestSet) -> dict[str, Any]:
    """Measure a run on shifted test images; return the content of its ``shifts.json``.

    Writes ``shifts.json``, ``shifts.csv`` and ``figures/shifts.png`` into the run folder.

    Args:
        run: The run.
        data: Its data.
        test_set: May serve several runs with the same data: its photographs, which take most of the time, are
            made once.

    Raises:
        InputError: The run is not finished, its model cannot be loaded, or its folder cannot be written.
    """
    predictor = Predictor(run)
    shifts = measure_shifts(predictor, test_set)
    shifts["detection"] = measure_detection(predictor, data)
    with reports_unwritable(quoted(run.path)):
        write_file(run.path / FILE, to_json(shifts))
        write_file(run.path / "shifts.csv", shift_tables.corruption_table(shifts).csv())
        heat_map = draw_corruptions(shifts, str(run.record.get("name")))
        figures.save(heat_map, run.path / "figures" / "shifts.png")
    return shifts


def read_shifts(run: Run) -> dict[str, Any] | None:
    """Return the content of a run's ``shifts.json``; None where nothing was measured.

    Raises:
        InputError: The file is damaged.
    """
    path = run.path / FILE
    try:
        shifts: dict[str, Any] = json.loads(path.read_bytes())
        shift_tables.run_tables(shifts)  # these two use all that must be there
        shift_tables.summary(shifts)
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
        {shift_tables.readable(corruption): values for corruption, values in levels.items()},
        columns=[str(severity) for severity in SEVERITIES],
        gap_before=len(CORRUPTIONS),
        title=f"{name} on {shifts['images']:,} corrupted test images: mean accuracy {mean:.3f}, "
        f"{clean:.3f} uncorrupted",
        xlabel="severity",
    )
