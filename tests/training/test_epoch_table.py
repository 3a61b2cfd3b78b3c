"""The epoch table: one row an epoch, complete at every moment."""

from pathlib import Path

import pytest

from fmnist.training.epoch_table import EpochTable, read_rows
from tests.training.folder import table_rows


def test_what_is_measured_in_an_epoch_is_one_row(tmp_path: Path) -> None:
    table = EpochTable(tmp_path / "metrics.csv")
    table.log_metrics({"epoch": 0, "val/loss": 0.5}, step=10)
    table.log_metrics({"epoch": 0, "train/loss": 0.25}, step=10)
    table.log_metrics({"epoch": 1, "train/loss": 0.125, "seconds": 3}, step=20)
    assert table_rows(table.path) == [
        {"epoch": "0", "step": "10", "val/loss": "0.5", "train/loss": "0.25", "seconds": ""},
        {"epoch": "1", "step": "20", "val/loss": "", "train/loss": "0.125", "seconds": "3"},
    ]
    assert table.path.read_text().startswith("epoch,step,")


def test_a_resumed_run_keeps_the_earlier_rows(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    before = EpochTable(path)
    for epoch in (1, 10, 0, 2):  # they are sorted by number
        before.log_metrics({"epoch": epoch, "loss": epoch + 0.5, "old": 1}, step=epoch)
    after = EpochTable(path, read_rows(path))
    after.log_metrics({"epoch": 2, "loss": 9.0}, step=2)
    after.log_metrics({"epoch": 3, "loss": 3.5, "new": 2}, step=3)
    assert [(row["epoch"], row["loss"], row["old"], row["new"]) for row in table_rows(path)] == [
        ("0", "0.5", "1", ""),
        ("1", "1.5", "1", ""),
        ("2", "9.0", "1", ""),
        ("3", "3.5", "", "2"),
        ("10", "10.5", "1", ""),
    ]


def test_what_has_no_epoch_is_left_out(tmp_path: Path) -> None:
    table = EpochTable(tmp_path / "metrics.csv")
    table.log_metrics({"learning_rate": 0.1}, step=3)
    table.log_hyperparams({"a": 1})
    assert not table.path.exists()


def test_a_write_that_fails_leaves_the_rows_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = EpochTable(tmp_path / "metrics.csv")
    table.log_metrics({"epoch": 0, "loss": 0.5}, step=0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        table.log_metrics({"epoch": 1, "loss": 0.25}, step=1)
    assert [row["loss"] for row in table_rows(table.path)] == ["0.5"]
    assert list(tmp_path.iterdir()) == [table.path]
