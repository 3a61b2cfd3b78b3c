"""Evaluate finished runs from their saved predictions, each into its own folder."""

import argparse
from collections.abc import Sequence

from fmnist.errors import exits_cleanly

EPILOG = """\
Writes report.html, metrics.json, classification_report.txt and .csv, and PNG figures. Predictions that are
missing are made again from the checkpoint. The time per image is measured on the CPU, on 1,000 images.
"""


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
    options = parser.parse_args(args)

    from fmnist.evaluation.report import write_report
    from fmnist.runs import Run

    for run in [Run.find(path) for path in options.runs]:
        found, lines = write_report(run, options.root)
        accuracy = found["test"]["accuracy"]
        print((run.path / "classification_report.txt").read_text(), *lines, sep="\n")
        print(
            f"test accuracy {accuracy['value']:.4f} (95 % {accuracy['low']:.4f} to {accuracy['high']:.4f}); "
            f"{run.path / 'report.html'}"
        )


if __name__ == "__main__":
    main()
