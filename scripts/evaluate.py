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

--shifts also measures the accuracy on shifted test images: on eleven corruptions of Fashion-MNIST-C, each on
its own, ten of them in five severities, and, for a quarter of the images, on photographs of them on plain
paper and in front of five backgrounds. It also measures how well OOD images are told from test images. This
writes shifts.json, shifts.csv and a heat map, and adds a section to the report. No accuracies were published
for that grid of corruptions.

--photographs FOLDER also measures the run on labelled photographs, whose subfolders are classes: named as
those of the data set, or "foreign" for garments of no class, or mapped by --classes FILE.yaml in lines like
"pants: Trouser", "longsleeve: [Pullover, Shirt]", "hat: foreign" and "shoes: null", which leaves a subfolder
out. They are prepared and classified as predict.py does. This writes photographs/NAME.json, .csv and two
contact sheets, and adds a section to the report. NAME is that of the mapping, else of the folder.
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
    parser = argparse.ArgumentParser(
        prog="python scripts/evaluate.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    runs = "a run folder, logs/NAME (its newest finished run) or a shipped NAME"
    shifts = "also measure on shifted test images: on N of them, or 'all' (default: %(const)s)"
    photographs = "also measure on labelled photographs: subfolders are classes"
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help=runs)
    add("--shifts", nargs="?", type=images, const=2000, default=False, metavar="N", help=shifts)
    add("--data.root", dest="root", default="data", metavar="DIR", help="folder of the data (default: data)")
    add("--photographs", metavar="FOLDER", help=photographs)
    add("--classes", metavar="FILE.yaml", help="maps the subfolders of --photographs to classes, see below")
    options = parser.parse_args(args)
    if options.classes and not options.photographs:
        raise InputError("--classes: maps the subfolders of --photographs FOLDER; name that folder, too")

    from fmnist.core.commands import shipped_path
    from fmnist.core.runs import Run
    from fmnist.data.arrays import images_of
    from fmnist.data.of_run import data_of
    from fmnist.evaluation.report import write_report
    from fmnist.robustness import photograph_tables
    from fmnist.robustness.measure import ShiftedTestSet
    from fmnist.robustness.real_photographs import prepare_photographs, write_photographs
    from fmnist.robustness.shift_tables import summary
    from fmnist.robustness.shifts import write_shifts

    prepared = None
    if options.photographs:
        classes = options.classes and shipped_path(options.classes)
        prepared = prepare_photographs(options.photographs, classes)
    test_set: ShiftedTestSet | None = None
    failed = []
    for path in options.runs:
        try:
            run = Run.find(path, writes=True)
            if options.shifts is not False:
                data = data_of(run, options.root)
                if test_set is None:  # data_of refuses runs with other data, so it serves all of them
                    test_set = ShiftedTestSet(images_of(data, "test"), options.shifts, progress=True)
                print(*summary(write_shifts(run, data, test_set)), "", sep="\n")
            if prepared is not None:
                measured = write_photographs(run, prepared, options.root)
                print(photograph_tables.folder_table(measured).text(), "", sep="\n")
                print(*photograph_tables.summary(measured), *measured["notes"], "", sep="\n")
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
