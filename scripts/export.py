"""Export a trained network to one file, ONNX or torch.export, that is checked against it."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from fmnist.core.errors import exits_cleanly

EPILOG = """\
The file takes images, float32 (N, 1, 28, 28) in [0, 1], and gives logits (N, 10); its metadata tell classes,
conventions, origin, accuracy and, of a run with validation images, temperature. It is written only if it
gives the test images the classes that the network gives them. ONNX needs the extra packages of
pip install -e '.[export]'.
"""


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Export as the command line says."""
    parser = argparse.ArgumentParser(prog="python scripts/export.py", description=__doc__, epilog=EPILOG)
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder, or logs/NAME for its newest finished run")
    add("--format", choices=["onnx", "torch"], default="onnx", help="default: onnx")
    add("--output", type=Path, metavar="FILE", help="default: export/model.onnx or .pt2 in the run folder")
    add("--data.root", dest="root", default="data", metavar="DIR", help="folder of the data (default: data)")
    options = parser.parse_args(args)

    from fmnist.core.runs import Run

    run = Run.find(options.run)  # a mistake is told before seconds of imports
    from fmnist.inference.export import export_run

    print(*export_run(run, options.format, options.output, options.root), sep="\n")


if __name__ == "__main__":
    main()
