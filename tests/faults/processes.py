"""Real processes that start in milliseconds: forks of one that has imported torch and Lightning already."""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

PATIENCE = 240  # seconds until a process is given up
PROMPT = 10  # seconds that a stop or a refusal may take

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.faults.trainings", "fmnist.baselines.fitting"])  # for all tests


class Child:
    """A process that calls a function; it is gone when the ``with`` ends.

    Args:
        log: Where its output goes.
        function: Of a module, so that it can be found again.
        *args: Picklable.
    """

    def __init__(self, log: Path, function: Callable[..., Any], *args: Any) -> None:
        self.log = log
        self._process: Any = FORKS.Process(target=_call, args=(log, function, args), daemon=True)
        self._process.start()

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    def signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.kill(self._process.pid, number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Return the exit status as a shell gives it: 128 and its number after a signal.

        Raises:
            TimeoutError: It takes longer.
        """
        self._process.join(seconds)
        status = self._process.exitcode
        if status is None:
            raise TimeoutError(f"a process was still there after {seconds} s: {last_line(self.log)}")
        return status if status >= 0 else 128 - status


def run(log: Path, function: Callable[..., Any], *args: Any) -> int:
    """Call a function in a process of its own and return the exit status."""
    with Child(log, function, *args) as child:
        return child.wait()


def last_line(log: Path) -> str:
    """Return the last line that a process printed."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "(it printed nothing)"


def _call(log: Path, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    function(*args)
