"""Where explanations go: a folder, and TensorBoard if the folder is the run's own."""

import itertools
import os
import re
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

from fmnist import figures
from fmnist.core.errors import InputError
from fmnist.core.runs import Run

LONGEST = 200  # bytes of a name; file systems allow 255, endings and all


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
            with tempfile.TemporaryFile(dir=self.folder):
                pass  # a folder that is there may still be closed, and maps take minutes
            self._writer = SummaryWriter(str(run.path)) if folder is None else None
        except OSError as error:
            raise InputError(f"--output {self.folder}: cannot be written ({error.strerror})") from None

    def __enter__(self) -> "Output":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def figure(self, name: str, figure: Figure, board: bool = True) -> None:
        """Write ``<name>.png``, and an image of TensorBoard unless ``board`` is off."""
        with warnings.catch_warnings():  # a picture's name may be in a script that the font lacks
            warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from font")
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
    """Return a text as part of a file name: letters of any script, digits, ``.``, ``_`` and single ``-``."""
    plain = re.sub(r"[^\w.]+", "-", text).strip("-.")
    return plain.encode()[:LONGEST].decode(errors="ignore") or "unnamed"


def distinct(names: Sequence[str]) -> list[str]:
    """Return names of which no two go into the same file, whatever the file system makes of capitals.

    A name that was taken gets a number before it.
    """
    taken: set[str] = set()
    found = []
    for name in names:
        numbered = (f"{number}-{name}" for number in itertools.count(2))
        free = next(n for n in itertools.chain([name], numbered) if as_file_name(n).casefold() not in taken)
        taken.add(as_file_name(free).casefold())
        found.append(free)
    return found
