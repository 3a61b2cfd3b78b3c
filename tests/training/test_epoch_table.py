"""The epoch table: one row an epoch, complete at every moment."""

import csv
from pathlib import Path

import pytest

from fmnist.training.epoch_table import EpochTable


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_measured_in_an_epoch_is_one_row(tmp_path: Path) -> None:
    table = EpochTable(tmp_path / "metrics.csv")
    table.log_metrics({"epoch": 0, "val/loss": 0.5}, step=10)
    table.log_metrics({"epoch": 0, "train/loss": 0.25}, step=10)
    table.log_metrics({"epoch": 1, "train/loss": 0.125, "seconds": 3}, step=20)
    assert rows(table.path) == [
        {"epoch": "0", "step": "10", "val/loss": "0.5", "train/loss": "0.25", "seconds": ""},
        {"epoch": "1", "step": "20", "val/loss": "", "train/loss": "0.125", "seconds": "3"},
    ]
    assert table.path.read_text().startswith("epoch,step,")


def test_rows_are_sorted_and_a_second_value_replaces_the_first(tmp_path: Path) -> None:
    table = EpochTable(tmp_path / "metrics.csv")
    for epoch, value in ((2, 0.1), (0, 0.3), (10, 0.0), (2, 0.2)):
        table.log_metrics({"epoch": epoch, "loss": value}, step=epoch)
    assert [(row["epoch"], row["loss"]) for row in rows(table.path)] == [
        ("0", "0.3"),
        ("2", "0.2"),
        ("10", "0.0"),
    ]


def test_a_resumed_run_keeps_the_earlier_rows(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    before = EpochTable(path)
    for epoch in range(3):
        before.log_metrics({"epoch": epoch, "loss": epoch + 0.5, "old": 1}, step=epoch)
    after = EpochTable(path)
    after.log_metrics({"epoch": 2, "loss": 9.0}, step=2)
    after.log_metrics({"epoch": 3, "loss": 3.5, "new": 2}, step=3)
    assert [(row["epoch"], row["loss"], row["old"], row["new"]) for row in rows(path)] == [
        ("0", "0.5", "1", ""),
        ("1", "1.5", "1", ""),
        ("2", "9.0", "1", ""),
        ("3", "3.5", "", "2"),
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
    assert [row["loss"] for row in rows(table.path)] == ["0.5"]
    assert list(tmp_path.iterdir()) == [table.path]


def test_it_claims_no_folder_of_its_own(tmp_path: Path) -> None:
    table = EpochTable(tmp_path / "metrics.csv")
    assert table.name is None
    assert table.version is None
