"""Fit a classical baseline on Fashion-MNIST, for example with ``--config configs/baselines/svm.yaml``."""

import shlex
import sys
from typing import TYPE_CHECKING

from fmnist.baselines.config import configure
from fmnist.core.errors import exits_cleanly

if TYPE_CHECKING:
    from fmnist.core.runs import Run


@exits_cleanly
def main(args: list[str] | None = None) -> "Run":
    """Fit what the command line describes, and return the finished run."""
    args = sys.argv[1:] if args is None else args
    config = configure(args)
    from fmnist.baselines.fit import fit_baseline

    return fit_baseline(config, shlex.join(["python", "scripts/baseline.py", *args]))


if __name__ == "__main__":
    main()
