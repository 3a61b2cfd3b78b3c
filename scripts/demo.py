"""Serve a page that classifies the pictures that you drop onto it, and shows why."""

from collections.abc import Sequence

from fmnist.core.commands import command_parser
from fmnist.core.constants import LEAST_PROBABILITY
from fmnist.core.errors import exits_cleanly

EPILOG = """\
The page shows what was cut out of the picture, the image that the network gets, the classes with their
probabilities, reasons to doubt them (as predict.py), an explanation, and the nearest training images. It
needs no connection to the internet. The file of a picture is removed once it is answered. Programs
call its endpoint /predict by gradio_client.

It needs Gradio: pip install -e '.[demo]'. Exit status: 130 after Ctrl-C.
"""


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Serve as the command line says."""
    parser = command_parser("demo", __doc__, EPILOG)
    which = "run folders, logs/NAME or shipped NAMEs, side by side (default: robust)"
    threshold = "least probability of an answer that is sure (default: %(default)s)"
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="*", default=["robust"], help=which)
    add("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in (default: %(default)s)")
    add("--port", type=int, default=7860, help="(default: %(default)s)")
    add("--share", action="store_true", help="also a public address for a week, through Gradio's servers")
    add("--threshold", type=float, default=LEAST_PROBABILITY, metavar="P", help=threshold)
    options = vars(parser.parse_args(args))

    from fmnist.core.runs import Run

    runs = [Run.find(path) for path in options.pop("runs")]  # before seconds of imports
    from fmnist.demo.command import serve

    serve(runs, **options)


if __name__ == "__main__":
    main()
