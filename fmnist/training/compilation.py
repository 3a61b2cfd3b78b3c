"""Choice whether to compile the network: where that saves more time than it takes."""

import torch
from torch import Tensor

from fmnist.core.errors import one_line

LEAST_MULTIPLY_ADDS = 1e13
"""Of a training that is compiled: about two minutes of a core with bfloat16 instructions. To compile takes
half a minute, and saves a third of the time that follows (docs/records.md, "Speed")."""


def choose_compile(accelerator: str, multiply_adds: float) -> tuple[bool, str]:
    """Choose whether a training is compiled, always the same on the same machine.

    Args:
        accelerator: Lightning's name: ``cpu``, ``cuda`` or ``mps``. Only on CPUs a training takes so long
            that compiling pays.
        multiply_adds: Cost of the whole training.

    Returns:
        The choice; and, in words, the reason where it is not that of most trainings.
    """
    if accelerator != "cpu" or multiply_adds < LEAST_MULTIPLY_ADDS:
        return False, ""
    if error := compiler_error():
        return False, f"not compiled, as no C++ compiler works here ({error})"
    return True, "compiled, as it is long"


def compiler_error() -> str:
    """Return why not even a small function can be compiled here; empty if one can."""

    def function(x: Tensor) -> Tensor:
        return x.sin() + x.cos()

    try:
        torch.compile(function)(torch.ones(8))
    except Exception as error:  # of whatever kind: a compiler or its headers may lack, or not fit
        return one_line(error)
    return ""
