"""Provoke every fault of the table in real processes, and print what came of it."""

import argparse
import logging
import os
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # what must be the same to the bit is so on a CPU
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.faults.rows import ROWS
from tests.faults.table import run_all


def main() -> int:
    """Return 1 if a row failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    names = [row.name for row in ROWS]
    parser.add_argument(
        "--rows", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--short", action="store_true", help="fewer trials of each")
    chosen = parser.parse_args()
    logging.getLogger("fmnist.data.source").setLevel(logging.ERROR)  # that the data are drawn is no news
    return int(not run_all([row for row in ROWS if row.name in chosen.rows], chosen.short))


if __name__ == "__main__":
    sys.exit(main())
