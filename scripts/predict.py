"""Classify pictures of one's own, say how sure that is, and when not to trust it."""

import argparse
from collections.abc import Sequence

from fmnist.core.errors import exits_cleanly

EPILOG = """\
An answer is "unsure" for one or more of these reasons:
  unlike anything it was trained on   the picture is farther from the training images than 95 % of the
                                      validation images are ("distance" in the output)
  close call between A and B          the likeliest class, A, has a probability below --threshold
  low contrast, several objects, object cut off by the frame
                                      the picture's own faults, which spoil what the model sees

Probabilities are calibrated on the run's validation images, for pictures like those of the data set; of an
estimator without probabilities (an SVM), they only rank the classes. Pictures are PNG, JPEG, WebP, BMP, TIFF
and the first frame of GIF. A file that cannot be read gets a row with the reason. The first prediction of a
run needs the data set, and keeps in the run what the later ones need. Exit status: 0 if any picture was done,
2 if none.
"""


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Predict as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python scripts/predict.py",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder, or logs/NAME for its newest finished run")
    add("pictures", metavar="PICTURE_OR_FOLDER", nargs="+", help="folders are searched through")
    add("--output", metavar="FILE", help=".csv or .json; without it, a table is printed")
    add("--sheet", metavar="FILE.png", help="draw pictures, what the model saw of them, and the answers")
    add("--stages", metavar="DIR", help="write every step of every preparation as PNG")
    add("--cut-out", choices=["border", "grabcut"], default="border", help="grabcut: for busy backgrounds")
    add("--threshold", type=float, default=0.6, metavar="P", help="least probability to be sure (0.6)")
    add("--data.root", dest="root", default="data", metavar="DIR", help="folder of the data (default: data)")
    options = parser.parse_args(args)

    from fmnist.core.runs import Run

    run = Run.find(options.run)  # a mistake is told before seconds of imports
    from fmnist.inference.command import predict

    predict(run, options)


if __name__ == "__main__":
    main()
