"""Errors of the user's input, and the exit statuses of all commands."""

import contextlib
import functools
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

BAD_INPUT_STATUS = 2
INTERRUPTED_STATUS = 128 + signal.SIGINT
SIGTERM_STATUS = 128 + signal.SIGTERM


class InputError(Exception):
    """Bad input from a person: the message names the flag or file, the value found and what is allowed."""


def quoted(path: object) -> str:
    """Return a path or value as a shell takes it, so that it can be pasted from a message."""
    return shlex.quote(str(path))


def exits_cleanly(main: Callable[..., Any]) -> Callable[..., Any]:
    """Make ``main`` end with the documented exit status: 2 after an ``InputError``, 130 after Ctrl-C.

    An ``InputError`` is printed to standard error without a traceback. Any other exception is a defect: it
    passes through with its traceback (status 1).
    """

    @functools.wraps(main)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return main(*args, **kwargs)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(BAD_INPUT_STATUS)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(INTERRUPTED_STATUS)

    return wrapper


@contextlib.contextmanager
def exits_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into ``SystemExit`` with its status, so that a run can be marked "stopped"."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(SIGTERM_STATUS))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextlib.contextmanager
def reports_unwritable(what: str) -> Iterator[None]:
    """Turn an ``OSError`` of the block into an ``InputError`` that says what cannot be written, and why.

    Args:
        what: The flag and value, or the path, as the user wrote it.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename is not None and str(error.filename) not in what:
            reason += f": {quoted(error.filename)}"
        raise InputError(f"{what}: cannot be written ({reason})") from None


def one_line(error: Exception, limit: int = 300) -> str:
    """Return an error's message on one line; a long one without its middle, as it ends with the advice."""
    text = " ".join(str(error).split()) or type(error).__name__
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} ... {text[-half:]}"
