"""The table of faults: its rows, run with a time limit, and printed."""

import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests.faults.trainings import workplace

Outcome = tuple[bool, str]
"""Whether a row passed, and the figure that shows it."""


class Skipped(Exception):  # noqa: N818  pytest's name for it
    """This machine or this user can't provoke the fault; the message says why."""


@dataclass(frozen=True)
class Row:
    """One fault.

    Args:
        name: For ``--rows``.
        fault: What is done.
        required: What must come of it.
        check: Does it in a folder with ``data``, so many times.
        times: Of trials or cases, in full and in the short form.
        seconds: Limit of the whole row.
    """

    name: str
    fault: str
    required: str
    check: Callable[[Path, int], Outcome]
    times: tuple[int, int] = (1, 1)
    seconds: int = 300

    def run(self, short: bool) -> Outcome:
        """Do the row.

        Raises:
            Skipped: It can't be done here.
        """
        with workplace() as folder:
            return self.check(folder, self.times[short])


def run_all(rows: Iterable[Row], short: bool) -> bool:
    """Do rows one after the other and print each; return whether none failed."""
    failed = 0
    for row in rows:
        start = time.monotonic()
        try:
            with _limit(row.seconds):
                passed, figure = row.run(short)
            verdict = "pass" if passed else "FAIL"
        except Skipped as reason:
            verdict, figure = "skipped", str(reason)
        except Exception as error:  # a row that breaks has failed; the others are wanted too
            traceback.print_exc()
            verdict, figure = "FAIL", f"{type(error).__name__}: {error}"
        failed += verdict == "FAIL"
        seconds = time.monotonic() - start
        print(f"{verdict:7}  {row.name}: {row.fault}")
        print(f"{'':9}required: {row.required}")
        print(f"{'':9}figure:   {figure}  ({seconds:.0f} s)", flush=True)
    print(f"{failed} failed" if failed else "none failed")
    return not failed


@contextmanager
def _limit(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
