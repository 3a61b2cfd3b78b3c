"""Draw which pixels a run's answers depend on, and measure whether the drawings can be believed."""

from collections.abc import Sequence

from fmnist.core.commands import RUN_HELP, command_parser
from fmnist.core.errors import exits_cleanly
from fmnist.explanation.methods import METHODS, describe_methods


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Explain as the command line says."""
    parser = command_parser("explain", __doc__, f"methods:\n{describe_methods()}")
    add = parser.add_argument
    add("run", metavar="RUN", help=RUN_HELP)
    methods = (
        f"one or more of {', '.join(METHODS)}; default: the first that suits the run, for --faithfulness and "
        "--sanity all"
    )
    add("--method", nargs="+", metavar="METHOD", help=methods)
    add("--target", default="predicted", help="explain the class predicted (default), true, NAME, or A-vs-B")
    add("--layer", help="of the CAM methods, as dotted name; a wrong one lists all with their map sizes")
    worst = "the N most confident mistakes (%(const)s if N is left out)"
    faithfulness = "measure on N test images (%(const)s if N is left out)"
    sanity = "randomise layers, compare N maps (%(const)s if N is left out)"
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--indices", nargs="+", type=int, metavar="N", help="test images by number")
    which.add_argument("--worst", nargs="?", const=16, type=int, metavar="N", help=worst)
    which.add_argument("--images", metavar="FOLDER", help="pictures of your own, prepared as predict.py does")
    add("--pair", nargs=2, metavar="CLASS", help="mistakes between two classes, the most confident first")
    add("--compare", nargs="+", default=[], metavar="RUN", help="draw these runs beside the first")
    add("--average", action="store_true", help="draw the mean map of every class of the test set")
    add("--faithfulness", nargs="?", const=1000, type=int, metavar="N", help=faithfulness)
    add("--sanity", nargs="?", const=200, type=int, metavar="N", help=sanity)
    add("--scale", choices=["image", "shared"], default="image", help="colour scale by image, or one for all")
    add("--output", metavar="DIR", help="instead of figures/explanations/ in the run, and its TensorBoard")
    options = parser.parse_args(args)

    from fmnist.core.runs import Run

    run = Run.find(options.run, writes=not options.output)  # before the imports below, which take seconds
    from fmnist.explanation.command import explain_run

    explain_run(run, options)


if __name__ == "__main__":
    main()
