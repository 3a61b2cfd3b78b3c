"""Compare finished runs: one page with charts, tests and pictures, and every table as CSV and Markdown."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fmnist.core.errors import exits_cleanly

EPILOG = """\
Runs are compared only on the same data (hash of the files), the same test images, and the same split of
training and validation; runs with --data.val_size 0, trained on all images, go with any. Anything else is an
error that names the runs; --allow-mixed goes on, warns in the page, and pairs only what shares test images.
"""


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Compare runs as the command line says."""
    parser = argparse.ArgumentParser(prog="python scripts/compare.py", description=__doc__, epilog=EPILOG)
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a run folder, logs/NAME (its newest finished run), or logs/ (every finished run below)",
    )
    parser.add_argument("--output", default="logs/comparison", metavar="DIR", help="default: %(default)s")
    parser.add_argument("--allow-mixed", action="store_true", help="see below")
    parser.add_argument(
        "--reference",
        metavar="MODEL",
        help="give errors on corrupted images relative to this model's (mCE); see evaluate.py --shifts",
    )
    parser.add_argument(
        "--data.root", dest="root", default="data", metavar="DIR", help="data set, for the pictures"
    )
    options = parser.parse_args(args)

    from fmnist.evaluation.comparison_report import write_comparison

    output = Path(options.output)
    found, lines = write_comparison(
        options.runs, output, options.root, options.allow_mixed, options.reference
    )
    print(*lines, found["results"].markdown(), sep="\n")
    print(f"{output / 'compare.html'}: open it in a browser; CSV and Markdown of each table beside it")


if __name__ == "__main__":
    main()
