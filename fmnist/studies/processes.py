"""The processes of a study's runs: asked to stop together, known by their locks if the study is killed."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fmnist.core.errors import exits_on_sigterm
from fmnist.core.runs import STUDY


class Child:
    """The process of a run, in a session of its own: Ctrl-C reaches the study alone, which passes it on once.

    Args:
        command: Script and arguments.
        study: What the run records as its ``study``.
        log: File for its output, which is appended; ``None`` shows it.
        lock: A descriptor that the process inherits, with the lock that belongs to it.
    """

    def __init__(
        self, command: list[str], study: dict[str, Any], log: Path | None = None, lock: int | None = None
    ) -> None:
        with contextlib.ExitStack() as stack:
            output = None if log is None else stack.enter_context(log.open("ab"))
            self._process = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output and subprocess.STDOUT,
                start_new_session=True, pass_fds=() if lock is None else (lock,),
                env={**os.environ, STUDY: json.dumps(study)},
            )  # fmt: skip

    def poll(self) -> int | None:
        """Return the exit status, negative after a signal; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to stop: a training writes a checkpoint at the end of its step."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait for its end."""
        self._process.wait()


class LostChild:
    """The process of a run that goes on although its study was killed.

    Args:
        path: The file that it has locked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def poll(self) -> int | None:
        """Return 0 when it has ended, None while it runs."""
        descriptor = lock(self._path)
        if descriptor is None:
            return None
        os.close(descriptor)
        return 0

    def stop(self) -> None:
        """Do nothing: its number is not known."""

    def wait(self) -> None:
        """Do nothing: it is not waited for when the study stops."""


def lock(path: Path, wait: bool = False) -> int | None:
    """Lock a file, creating it; return the descriptor that holds the lock, None if another holds it.

    Args:
        path: The file.
        wait: Wait until no other holds it.

    The lock ends when every process that has inherited the descriptor has closed it or has ended, however.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def stops_children(children: list[Any]) -> Iterator[None]:
    """Stop the children that are in the list when the block is left early, by a signal or an error.

    They are asked once and waited for; a second Ctrl-C asks again, at which a training stops at once.
    """
    with exits_on_sigterm():
        try:
            yield
        except BaseException:
            for attempt in range(2):
                for child in children:
                    child.stop()
                try:
                    for child in children:
                        child.wait()
                    break
                except KeyboardInterrupt:
                    if attempt:
                        raise
            raise
