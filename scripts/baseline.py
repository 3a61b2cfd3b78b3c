"""Fit a classical baseline on Fashion-MNIST, for example with ``--config configs/baselines/svm.yaml``."""

import sys
from typing import TYPE_CHECKING

from fmnist.baselines.config import configure
from fmnist.core.commands import shell_command
from fmnist.core.errors import exits_cleanly

if TYPE_CHECKING:
    from fmnist.core.runs import Run


@exits_cleanly
def main(args: list[str] | None = None) -> "Run | None":
    """Fit what the command line describes, and return the finished run."""
    args = sys.argv[1:] if args is None else args
    if "--print_config" in args:
        from fmnist.baselines.members import find_members

        config = configure([word for word in args if word != "--print_config"])
        print(find_members(config)[0].dump(), end="")
        return None
    config = configure(args)
    from fmnist.baselines.fit import fit_baseline
    from fmnist.inference.predictor import load_logits

    return fit_baseline(config, shell_command("baseline", *args), load_logits)


if __name__ == "__main__":
    main()
