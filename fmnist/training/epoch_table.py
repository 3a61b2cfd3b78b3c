"""A logger that writes ``metrics.csv``: one row an epoch, with everything that was logged in it."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from fmnist.core.errors import InputError, one_line, quoted
from fmnist.core.files import write_file


def read_rows(path: Path) -> dict[int, dict[str, Any]]:
    """Return the rows of such a file by epoch; none if there is no file.

    Raises:
        InputError: It is damaged, or cannot be read.
    """
    if not path.exists():
        return {}
    try:
        with path.open(newline="") as file:
            return {int(row["epoch"]): row | {"step": int(row["step"])} for row in csv.DictReader(file)}
    except (OSError, csv.Error, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{quoted(path)}: cannot be read ({one_line(error)}); move it away to go on without it"
        ) from None


class EpochTable(Logger):
    """Writes metrics that come with an ``epoch`` to a CSV file, which is complete at every moment.

    Args:
        path: The file.
        rows: Of an earlier part of the same run, by epoch.
    """

    def __init__(self, path: str | Path, rows: Mapping[int, dict[str, Any]] | None = None) -> None:
        super().__init__()
        self.path, self._rows = Path(path), dict(rows or {})

    @property
    def name(self) -> str | None:
        return None

    @property
    def version(self) -> None:
        return None

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        epoch = metrics.get("epoch")
        if epoch is None:
            return
        row = self._rows.setdefault(int(epoch), {})
        row |= {**metrics, "epoch": int(epoch), "step": step}
        names = dict.fromkeys(["epoch", "step", *(name for row in self._rows.values() for name in row)])
        text = io.StringIO()
        writer = csv.DictWriter(text, list(names), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows[epoch] for epoch in sorted(self._rows))
        write_file(self.path, text.getvalue())

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the run's ``config.yaml`` holds them."""
