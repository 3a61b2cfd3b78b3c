"""Where explanations go: a folder, and TensorBoard if the folder is the run's own."""

import os
import re
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from fmnist import figures
from fmnist.errors import InputError
from fmnist.runs import Run


class Output:
    """Writes figures, arrays and tables, none of them by halves; to be used in ``with``.

    Args:
        run: What is explained.
        folder: Where to; None for ``figures/explanations/`` of the run, and its TensorBoard.

    Raises:
        InputError: The folder cannot be written.
    """

    def __init__(self, run: Run, folder: str | Path | None = None) -> None:
        self.folder = run.path / "figures" / "explanations" if folder is None else Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--output {self.folder}: cannot be written ({error.strerror})") from None
        self._writer = SummaryWriter(str(run.path)) if folder is None else None

    def __enter__(self) -> "Output":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def figure(self, name: str, figure: Figure, board: bool = True) -> None:
        """Write ``<name>.png``, and an image of TensorBoard unless ``board`` is off."""
        figures.save(figure, self.folder / f"{name}.png")
        if board and self._writer is not None:
            self._writer.add_image(f"explanations/{name}", figures.as_image(figure), dataformats="HWC")

    def text(self, name: str, text: str) -> None:
        """Write a text file of that name."""
        temporary = self.folder / f".{name}.{os.getpid()}.tmp"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, self.folder / name)

    def arrays(self, name: str, **arrays: Any) -> None:
        """Write ``<name>.npz``."""
        temporary = self.folder / f".{name}.{os.getpid()}.tmp"
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(temporary, self.folder / f"{name}.npz")


def as_file_name(text: str) -> str:
    """Return a text as part of a file name: letters, digits, ``.``, ``_`` and single ``-``."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.")
