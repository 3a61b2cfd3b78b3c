"""Compare finished runs: one page of charts, tests and pictures, and every table as CSV and Markdown."""

from collections.abc import Sequence
from pathlib import Path

from fmnist.core.commands import command_parser
from fmnist.core.errors import exits_cleanly, quoted

EPILOG = """\
Seeds of one configuration are one row, mean and standard deviation; settings that change nothing that is
learned, such as a progress bar, do not matter. Models of one name are told apart by the settings that differ.
Runs that cannot be read, and those that were shortened for debugging (--trainer.fast_dev_run or
limit_*_batches), are left out and named.

Runs can be compared if they have the same data (hash of the files), the same test images, and the same
validation images. Runs with --data.val_size 0, trained on all images, go with any split.
Otherwise the command ends with an error that names the runs. With --allow-mixed it goes on: the page shows a
warning, and only models with the same test images are tested against each other.
"""


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Compare runs as the command line says."""
    parser = command_parser("compare", __doc__, EPILOG)
    runs = "a run folder; logs/NAME or logs/ for every finished run below it: all seeds; or a shipped NAME"
    reference = "give errors on corrupted images relative to this model's (mCE); needs evaluate.py --shifts"
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help=runs)
    add("--output", default="logs/comparison", metavar="DIR", help="default: %(default)s")
    add("--allow-mixed", action="store_true", help="compare runs with other data or another split, see below")
    add("--reference", metavar="MODEL", help=reference)
    options = parser.parse_args(args)

    from fmnist.evaluation.comparison import write_comparison

    output = Path(options.output)
    tables, lines = write_comparison(
        options.runs, output, options.root, options.allow_mixed, options.reference
    )
    print(*lines, tables["results"].markdown(), sep="\n")
    page = quoted(output / "compare.html")
    print(f"{page}: open it in a browser; each table is also there as CSV and Markdown")


if __name__ == "__main__":
    main()
