"""Measure loader, networks and training on this machine, beside what people use, as Markdown and JSON."""

from collections.abc import Sequence
from pathlib import Path

from fmnist.benchmark import TITLES
from fmnist.core.commands import command_parser
from fmnist.core.errors import exits_cleanly

EPILOG = """\
loader: against torchvision's pipeline. step: by layout and arithmetic. epoch: with validation, in a bare
loop, by train.py, and in the usual Lightning setup (torchvision's data set, transforms of one image at a
time, DataLoader, metrics logged in every step, default precision and memory layout). evaluation: 10,000
images. start: from the start of the process. memory: peak of a training. growth: with images, batch size,
width and processes.

Every row is kept in OUTPUT.json and OUTPUT.md as soon as it is measured. A part that is measured again takes
the place of its older rows. A ratio says how many times as long something takes as the row with ratio 1. It
is the median over turns, and its range follows. Leave the machine alone meanwhile.
"""


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for."""
    parser = command_parser("benchmark", __doc__, EPILOG)
    add = parser.add_argument
    names = ", ".join(TITLES)
    add("parts", nargs="*", metavar="PART", default=list(TITLES), help=f"{names} (default: all)")
    output = "path of the two files, without suffix (default: %(default)s)"
    add("--output", type=Path, default=Path("logs/benchmark"), help=output)
    add("--turns", type=int, default=3, help="repetitions of each comparison (default: %(default)s)")
    add("--compile", action="store_true", help="also measure compiled networks; needs a C++ compiler")
    options = parser.parse_args(args)
    for part in options.parts:
        if part not in TITLES:
            parser.error(f"PART {part}: must be one of {names}")
    if options.turns < 1:
        parser.error(f"--turns {options.turns}: must be at least 1")

    from fmnist.benchmark.command import measure
    from fmnist.benchmark.parts import Settings

    measure(options.parts, Settings(options.root, options.compile, options.turns), options.output)


if __name__ == "__main__":
    main()
