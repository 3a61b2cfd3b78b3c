"""Classify your own pictures, with probabilities and the reasons why an answer may be wrong."""

from collections.abc import Sequence

from fmnist.core.commands import RUN_HELP, command_parser
from fmnist.core.constants import LEAST_PROBABILITY
from fmnist.core.errors import exits_cleanly

EPILOG = """\
An answer is "unsure" for one or more of these reasons:
  unlike anything it was trained on   the picture is farther from the training images than 95 % of the
                                      validation images, or of the validation photographs if it
                                      had any and that is more ("distance" in the output)
  close call between A and B          the likeliest class, A, has a probability below --threshold
  low contrast, several objects, object over 60 % of the area
                                      problems of the picture itself

Probabilities are calibrated on the run's validation images, so they hold for pictures like those of the data
set. An estimator without probabilities (an SVM) only ranks the classes.

Pictures may be PNG, JPEG, WebP, AVIF, JPEG 2000, BMP, TIFF, PPM, QOI or GIF files, and HEIC with the package
pillow-heif; of several pages or frames, the first is taken, and the row says so. Any other picture, or one
that cannot be read, gets a row with the reason and the way to read it; one in which there is nothing gets
"nothing found". The first prediction of a run of your own needs the data set, and stores in the run folder
what later ones need; a shipped network has it. Exit status: 0 if at least one picture was classified, 2 if
none was.
"""


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Predict as the command line says."""
    parser = command_parser("predict", __doc__, EPILOG)
    threshold = "least probability of an answer that is sure (default: %(default)s)"
    add = parser.add_argument
    add("run", metavar="RUN", help=RUN_HELP)
    add("pictures", metavar="PICTURE_OR_FOLDER", nargs="+", help="files, and folders with their subfolders")
    add("--output", metavar="FILE", help="write the answers to a .csv or .json file, print no table")
    add("--sheet", metavar="FILE.png", help="draw each picture, the image that the model saw, and the answer")
    add("--stages", metavar="DIR", help="write the picture after each step of its preparation, as PNG")
    add("--threshold", type=float, default=LEAST_PROBABILITY, metavar="P", help=threshold)
    options = vars(parser.parse_args(args))

    from fmnist.core.runs import Run

    run = Run.find(options.pop("run"))  # a wrong path is reported before seconds of imports
    from fmnist.inference.predict import predict

    predict(run, **options)


if __name__ == "__main__":
    main()
