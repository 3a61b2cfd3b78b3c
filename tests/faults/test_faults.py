"""The table of faults in its short form, and what prints it."""

import signal
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from tests.faults import distributed, launchers, processes, table
from tests.faults.rows import ROWS
from tests.faults.table import Row, Skipped

SLOW = (*distributed.ROWS, *launchers.ROWS, *(row for row in ROWS if row.name in ("seeds", "shared-logs")))
MARKS = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name, marks=MARKS if row in SLOW else []) for row in ROWS]
)
def test_row(row: Row) -> None:
    try:
        passed, figure = row.run(short=True)
    except Skipped as reason:
        pytest.skip(str(reason))
    assert passed, figure


@pytest.mark.parametrize(
    ("check", "verdict", "figure"),
    [
        (Mock(return_value=(True, "3/3")), "pass", "3/3"),
        (Mock(return_value=(False, "2/3")), "FAIL", "2/3"),
        (Mock(side_effect=Skipped("no disk")), "skipped", "no disk"),
        (Mock(side_effect=ValueError("a defect")), "FAIL", "ValueError: a defect"),
        (lambda *_: time.sleep(30), "FAIL", "TimeoutError: not done after 1 s"),
    ],
)
def test_the_table_shows_how_each_row_ended(
    check: Any, verdict: str, figure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = table.run_all([Row("a", "a fault", "nothing", check, seconds=1)], short=True)
    printed = capsys.readouterr().out
    assert good == (verdict != "FAIL")
    assert printed.startswith(f"{verdict:7}  a: a fault\n")
    assert figure in printed
    assert printed.endswith("none failed\n" if good else "1 failed\n")


def test_a_process_that_does_not_end_is_given_up_and_killed(tmp_path: Path) -> None:
    with processes.Child(tmp_path / "log", time.sleep, 100) as child:
        with pytest.raises(TimeoutError, match="still there"):
            child.wait(0.1)
        assert child.running
    assert not child.running
    assert child.wait() == 128 + signal.SIGKILL
