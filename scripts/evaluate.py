"""Evaluate finished runs from their saved predictions; write a report into the folder of each run."""

import argparse
import shlex
import sys
from collections.abc import Sequence

from fmnist.core.commands import RUN_HELP, command_parser
from fmnist.core.errors import BAD_INPUT_STATUS, InputError, exits_cleanly

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


def images(text: str) -> int | str:
    """Read the value of --shifts: a number of images, or ``all``."""
    try:
        return text if text == "all" else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of test images, or 'all'") from None


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Evaluate runs as the command line says."""
    parser = command_parser("evaluate", __doc__, EPILOG)
    shifts = "also measure on shifted test images: on N of them, or 'all' (default: %(const)s)"
    photographs = "also measure on labelled photographs: subfolders are classes"
    add = parser.add_argument
    add("paths", nargs="+", metavar="RUN", help=RUN_HELP)
    add("--shifts", nargs="?", type=images, const=2000, metavar="N", help=shifts)
    add("--photographs", metavar="FOLDER", help=photographs)
    add("--classes", metavar="FILE.yaml", help="maps the subfolders of --photographs to classes, see below")
    options = parser.parse_args(args)
    if options.classes and not options.photographs:
        raise InputError("--classes: maps the subfolders of --photographs FOLDER; name that folder, too")

    from fmnist.evaluation.command import evaluate

    if failed := evaluate(**vars(options)):
        if len(options.paths) > 1:
            print(f"not evaluated: {shlex.join(failed)}", file=sys.stderr)
        sys.exit(BAD_INPUT_STATUS)


if __name__ == "__main__":
    main()
