"""Evaluate finished runs from their saved predictions; write a report into the folder of each run."""

import argparse
import shlex
import sys
from collections.abc import Sequence

from fmnist.core.errors import BAD_INPUT_STATUS, InputError, exits_cleanly, quoted

EPILOG = """\
Writes report.html, metrics.json, classification_report.txt and .csv, and PNG figures. Predictions that are
missing or damaged are computed again with the trained model. The time per image is measured on the CPU, on
1,000 images. A run that cannot be evaluated is named and stops no other; the exit status is 2 then.

--shifts also measures the accuracy on shifted test images: on the corruptions of Fashion-MNIST-C, each on its
own in five severities, and, for a quarter of the images, on photographs of them on plain paper and in front
of five backgrounds. It also measures how well OOD images are told from test images. This writes shifts.json,
shifts.csv and a heat map, and adds a section to the report. No accuracies were published for that grid of
corruptions.
"""


def images(text: str) -> int | None:
    """Read the value of --shifts: a number of images, or None for all."""
    if text == "all":
        return None
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of test images, or 'all'") from None


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Evaluate runs as the command line says."""
    parser = argparse.ArgumentParser(prog="python scripts/evaluate.py", description=__doc__, epilog=EPILOG)
    shifts = "also measure on shifted test images: on N of them, or 'all' (default: %(const)s)"
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="a run folder, or logs/NAME for its newest finished run")
    add("--shifts", nargs="?", type=images, const=2000, default=False, metavar="N", help=shifts)
    add("--data.root", dest="root", default="data", metavar="DIR", help="folder of the data (default: data)")
    options = parser.parse_args(args)

    from fmnist.core.runs import Run
    from fmnist.data.arrays import images_of
    from fmnist.data.of_run import data_of
    from fmnist.evaluation.report import write_report
    from fmnist.robustness.measure import ShiftedTestSet
    from fmnist.robustness.shifts import write_shifts
    from fmnist.robustness.tables import summary

    test_set: ShiftedTestSet | None = None
    failed = []
    for path in options.runs:
        try:
            run = Run.find(path)
            if options.shifts is not False:
                data = data_of(run, options.root)
                if test_set is None:  # data_of refuses runs with other data, so it serves all of them
                    test_set = ShiftedTestSet(images_of(data, "test"), options.shifts, progress=True)
                print(*summary(write_shifts(run, data, test_set)), "", sep="\n")
            metrics, lines = write_report(run, options.root)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            failed.append(path)
            continue
        accuracy = metrics["test"]["accuracy"]
        print((run.path / "classification_report.txt").read_text(), *lines, sep="\n")
        print(
            f"test accuracy {accuracy['value']:.4f} (95 % {accuracy['low']:.4f} to {accuracy['high']:.4f}); "
            f"{quoted(run.path / 'report.html')}"
        )
    if failed:
        if len(options.runs) > 1:
            print(f"not evaluated: {shlex.join(failed)}", file=sys.stderr)
        sys.exit(BAD_INPUT_STATUS)


if __name__ == "__main__":
    main()
