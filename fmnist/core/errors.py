"""Errors of the user's input, and the exit statuses of all commands."""

import contextlib
import errno
import functools
import itertools
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO, TypeGuard

BAD_INPUT_STATUS = 2
INTERRUPTED_STATUS = 128 + signal.SIGINT
SIGTERM_STATUS = 128 + signal.SIGTERM
HANGUP: int | None = getattr(signal, "SIGHUP", None)  # Windows has none
"""The signal of a closed terminal. It comes twice: the shell and the kernel both send it."""


class _LastingStream:
    """A standard stream that drops what it cannot write, so that a closed pipe or terminal ends nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._dropping():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._dropping():
            self._stream.flush()

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except OSError:  # `| head -1`, a lost connection, a full disk below `> log`
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())  # or Python's last flush would fail
            os.close(null)


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """Let standard output and standard error take everything in the block, also when they are closed."""
    with contextlib.ExitStack() as stack:
        null = stack.enter_context(Path(os.devnull).open("w"))
        output: Any = _LastingStream(sys.stdout or null)  # None where it was closed from the start
        errors: Any = _LastingStream(sys.stderr or null)
        stack.enter_context(contextlib.redirect_stdout(output))
        stack.enter_context(contextlib.redirect_stderr(errors))
        try:
            yield
        finally:
            output.flush()
            errors.flush()


class InputError(Exception):
    """Bad input from a person: the message names the flag or file, the value found and what is allowed."""


def quoted(path: object) -> str:
    """Return a path or value as a shell takes it, so that it can be pasted from a message."""
    return shlex.quote(str(path))


def exits_cleanly(main: Callable[..., Any]) -> Callable[..., Any]:
    """Make ``main`` end with the documented exit status: 2 after an ``InputError``, 130 after Ctrl-C.

    ``main`` takes the words of a command line, or nothing for those of the process. An empty word, of a shell
    variable that is not set, is refused: a path of no letters would mean the working folder.

    An ``InputError`` is printed to standard error without a traceback. Any other exception is a defect: it
    passes through with its traceback (status 1). What cannot be printed, for example after ``| head -1``, is
    dropped, and the work goes on.
    """

    @functools.wraps(main)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with lasting_streams():
            try:
                _refuse_empty(sys.argv[1:] if not args or args[0] is None else args[0])
                return main(*args, **kwargs)
            except InputError as error:
                print(f"error: {error}", file=sys.stderr)
                sys.exit(BAD_INPUT_STATUS)
            except KeyboardInterrupt:
                print("interrupted", file=sys.stderr)
                sys.exit(INTERRUPTED_STATUS)

    return wrapper


def _refuse_empty(words: Sequence[str]) -> None:
    for before, word in itertools.pairwise(["", *words]):
        flag, equals, value = word.partition("=")
        if (before if not word else flag).startswith("--trainer."):  # Lightning knows what it means
            continue
        if not word or (flag.startswith("--") and equals and not value):
            place = word or ("an argument" + f" after {before}" * bool(before))
            raise InputError(f"{place}: is empty; is a variable of the shell not set?")


def is_unwritable(error: BaseException) -> TypeGuard[OSError]:
    """Tell whether an error says that a disk is full or a file or folder may not be written."""
    reasons = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)
    return isinstance(error, OSError) and error.errno in reasons


@contextlib.contextmanager
def exits_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into ``SystemExit`` with its status, so that a run can be marked "stopped".

    SIGHUP, which a terminal sends when it is closed, does the same, unless ``nohup`` has it ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, _exit) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop_signals() -> list[int]:
    """Return SIGTERM and SIGHUP, without what is ignored, as ``nohup`` does with SIGHUP."""
    numbers = [signal.SIGTERM] if HANGUP is None else [signal.SIGTERM, HANGUP]
    return [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]


def _exit(number: int, _: object) -> NoReturn:
    if number == HANGUP:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(SIGTERM_STATUS)


@contextlib.contextmanager
def reports_unwritable(what: str) -> Iterator[None]:
    """Turn an ``OSError`` of the block into an ``InputError`` that says what cannot be written, and why.

    ``what`` is the flag and value, or the path, as the user wrote it.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename is not None and str(error.filename) not in what:
            reason += f": {quoted(error.filename)}"
        raise InputError(f"{what}: cannot be written ({reason})") from None


def one_line(error: BaseException, limit: int = 300) -> str:
    """Return an error's message on one line; a long one without its middle, as it ends with the advice."""
    text = " ".join(str(error).split()) or type(error).__name__
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} ... {text[-half:]}"
