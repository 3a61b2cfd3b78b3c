"""Models that misbehave on purpose, for processes that import them by name."""

import time
from pathlib import Path
from typing import Any

from torch import Tensor

from fmnist.models.mlp import LitMLP


class RaisesOnOneProcess(LitMLP):
    """Has a defect on the second process at its third step, and notes the time in the working directory."""

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        if self.global_rank == 1 and self.global_step == 2:
            Path("raised").write_text(repr(time.time()))
            raise RuntimeError("a defect on process 1")
        return super().training_step(batch, batch_idx)


class Waits(LitMLP):
    """Waits at its eighth step, within an epoch, and leaves a file in the working directory to say so.

    The steps before are so slow that the processes ask each other after every second one.
    """

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        time.sleep(0.4 * (self.global_step < 9))
        if self.global_step == 7:
            Path("waits").touch()
            time.sleep(1)
        return super().training_step(batch, batch_idx)
