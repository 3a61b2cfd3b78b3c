"""Evaluate finished runs from their saved predictions, each into its own folder."""

import argparse
from collections.abc import Sequence

from fmnist.core.errors import exits_cleanly

EPILOG = """\
Writes report.html, metrics.json, classification_report.txt and .csv, and PNG figures. Predictions that are
missing are made again from the checkpoint. The time per image is measured on the CPU, on 1,000 images.

--shifts adds the corruptions of Fashion-MNIST-C, each apart in five severities, photographs of test images
on plain paper and before five backgrounds, and images of something else: shifts.json and .csv, a heat map,
and a section of the page. A quarter of the images is photographed. No accuracies were published for that
grid of corruptions.
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
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run folder, or logs/NAME for its newest finished run"
    )
    parser.add_argument(
        "--data.root", dest="root", default="data", metavar="DIR", help="data set, for the pictures"
    )
    parser.add_argument(
        "--shifts",
        nargs="?",
        type=images,
        const=2000,
        default=False,
        metavar="N",
        help="measure on shifted test images, too: N of them, or 'all' (default: %(const)s)",
    )
    options = parser.parse_args(args)

    from fmnist.core.runs import Run
    from fmnist.evaluation.report import write_report
    from fmnist.robustness.measure import write_shifts
    from fmnist.robustness.tables import words

    for run in [Run.find(path) for path in options.runs]:
        if options.shifts is not False:
            print(*words(write_shifts(run, options.root, options.shifts, progress=True)), "", sep="\n")
        found, lines = write_report(run, options.root)
        accuracy = found["test"]["accuracy"]
        print((run.path / "classification_report.txt").read_text(), *lines, sep="\n")
        print(
            f"test accuracy {accuracy['value']:.4f} (95 % {accuracy['low']:.4f} to {accuracy['high']:.4f}); "
            f"{run.path / 'report.html'}"
        )


if __name__ == "__main__":
    main()
