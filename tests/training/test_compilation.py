"""A compiled training ends as exactly as others."""

import signal
from collections.abc import Callable

import pytest
import torch

from fmnist.core.runs import Run
from fmnist.training.train import main
from tests.training.folder import checkpoint, equal


def _compiler_works() -> bool:
    def function(x: torch.Tensor) -> torch.Tensor:
        return x.sin() + x.cos()

    try:
        torch.compile(function)(torch.ones(8))
    except Exception:  # of whatever kind: a compiler or its headers may lack, or not fit
        return False
    return True


@pytest.mark.slow
def test_a_compiled_training_that_is_stopped_ends_as_one_left_alone(
    train: Callable[..., Run], interrupted: Callable[..., Run]
) -> None:
    """With batches of two sizes, 150 and 50; the resumed training meets them in another order."""
    if not _compiler_works():
        pytest.skip("no C++ compiler works on this machine")
    flags = ["--data.batch_size", "150", "--trainer.max_epochs", "3", "--ema", "0.9"]
    flags += ["--model.compile", "true"]
    whole = train(*flags)
    cut = interrupted("training_step", 6, signal.SIGTERM, *flags)
    torch.compiler.reset()
    main(["--resume", str(cut.path)])
    for name in ("best", "last"):
        assert equal(checkpoint(Run(cut.path), name), checkpoint(whole, name))
