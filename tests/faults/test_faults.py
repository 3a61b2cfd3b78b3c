"""The table of faults in its short form, and what prints it."""

import signal
import time
from pathlib import Path

import pytest

from tests.faults import distributed, launchers, processes, table
from tests.faults.rows import ROWS
from tests.faults.table import Outcome, Row, Skipped

SLOW = {
    row.name: [pytest.mark.slow, pytest.mark.timeout(600)] for row in (*distributed.ROWS, *launchers.ROWS)
}


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.name, marks=SLOW.get(row.name, [])) for row in ROWS],
)
def test_row(row: Row) -> None:
    try:
        passed, figure = row.run(short=True)
    except Skipped as reason:
        pytest.skip(str(reason))
    assert passed, figure


def row(answer: Outcome | Exception, seconds: int = 5) -> Row:
    def check(folder: Path, times: int) -> Outcome:
        if isinstance(answer, Exception):
            raise answer
        time.sleep(answer == SLEEPS and 30)
        return answer

    return Row("a", "a fault", "nothing", check, seconds=seconds)


SLEEPS: Outcome = (True, "sleeps")


@pytest.mark.parametrize(
    ("answer", "verdict", "figure"),
    [
        ((True, "3/3"), "pass", "3/3"),
        ((False, "2/3"), "FAIL", "2/3"),
        (Skipped("no disk"), "skipped", "no disk"),
        (ValueError("a defect"), "FAIL", "ValueError: a defect"),
        (SLEEPS, "FAIL", "TimeoutError: not done after 1 s"),
    ],
)
def test_the_table_says_how_each_row_ended(
    answer: Outcome | Exception, verdict: str, figure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = table.run_all([row(answer, 1 if answer == SLEEPS else 5)], short=True)
    said = capsys.readouterr().out
    assert good == (verdict != "FAIL")
    assert said.startswith(f"{verdict:7}  a: a fault\n")
    assert figure in said
    assert said.endswith("none failed\n" if good else "1 failed\n")


def test_a_process_that_does_not_end_is_given_up_and_killed(tmp_path: Path) -> None:
    with processes.Child(tmp_path / "log", time.sleep, 100) as child:
        with pytest.raises(TimeoutError, match="still there"):
            child.wait(0.1)
        assert child.running
    assert not child.running
    assert child.wait() == 128 + signal.SIGKILL
