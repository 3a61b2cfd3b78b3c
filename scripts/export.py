"""Export a trained network to one file that is compared with it."""

from collections.abc import Sequence
from pathlib import Path

from fmnist.core.commands import RUN_HELP, command_parser
from fmnist.core.errors import exits_cleanly
from fmnist.inference.formats import FORMATS

EPILOG = """\
The file takes images, float32 (N, 1, 28, 28) in [0, 1], and gives logits (N, 10); its metadata hold classes,
conventions, origin, accuracy and, of a run with validation images, temperature. It is written only if it
gives the test images the classes that the network gives them. {needy}: needs the extra packages of
pip install -e '.[export]'.
"""
HELP_MAP = "give a second output of ONNX, the map of explain.py for the class predicted, float32 (N, 28, 28)"


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Export as the command line says."""
    default, *_ = FORMATS
    needy = ", ".join(f"--format {name}" for name, form in FORMATS.items() if form.packages)
    kinds = ", ".join(f"{name} for {form.runtime} ({form.suffix})" for name, form in FORMATS.items())
    suffixes = " or ".join(form.suffix for form in FORMATS.values())
    parser = command_parser("export", __doc__, EPILOG.format(needy=needy))
    add = parser.add_argument
    add("run", metavar="RUN", help=RUN_HELP)
    add("--format", choices=list(FORMATS), default=default, help=f"{kinds} (default: {default})")
    add("--output", type=Path, metavar="FILE", help=f"default: export/model{suffixes} in the run folder")
    add("--with-map", action="store_true", help=HELP_MAP)
    options = parser.parse_args(args)

    from fmnist.core.runs import Run

    run = Run.find(options.run, writes=not options.output)  # a mistake is reported before seconds of imports
    from fmnist.inference.export import export_run

    with_map = None
    if options.with_map:
        from fmnist.explanation import traced

        with_map = traced.MAP

    print(*export_run(run, options.format, options.output, options.root, with_map), sep="\n")


if __name__ == "__main__":
    main()
