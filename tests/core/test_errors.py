"""The exit statuses, and the messages of bad input and of files that cannot be written."""

import errno
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fmnist.core.errors import InputError, exits_cleanly, exits_on_sigterm, reports_unwritable


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InputError("--ema 2: must be below 1"), 2, "error: --ema 2: must be below 1\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (SystemExit(143), 143, ""),
    ],
)  # fmt: skip
def test_an_error_of_the_user_or_a_stop_ends_with_its_status_and_no_traceback(
    error: BaseException, status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @exits_cleanly
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == status
    assert capsys.readouterr() == ("", message)


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ([""], "an argument"),
        (["--sheet", "", "run"], "an argument after --sheet"),
        (["run", "--sheet="], "--sheet="),
    ],
)
def test_an_empty_word_is_refused(words: list[str], place: str, capsys: pytest.CaptureFixture[str]) -> None:
    main = exits_cleanly(lambda args=None: None)
    main(["--sheet", "a b", "--x=y", "--trainer.logger.version="])
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {place}: is empty; is a variable of the shell not set?\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_ends_with_143_and_the_old_handler_comes_back(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as stop, exits_on_sigterm():
            os.kill(os.getpid(), number)
    finally:
        after = signal.signal(number, before)
    assert stop.value.code == 143
    assert after is signal.SIG_DFL


def test_a_closed_terminal_does_not_interrupt_the_ending_that_it_began() -> None:
    before, ended = signal.signal(signal.SIGHUP, signal.SIG_DFL), False

    def work() -> None:
        nonlocal ended
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        finally:
            os.kill(os.getpid(), signal.SIGHUP)  # the shell sends it, and so does the kernel
            ended = True

    try:
        with pytest.raises(SystemExit), exits_on_sigterm():
            work()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert ended


def test_nohup_is_respected() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with exits_on_sigterm():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.signal(signal.SIGHUP, before) is signal.SIG_IGN


def test_only_the_main_thread_handles_sigterm() -> None:
    def handler() -> Any:
        with exits_on_sigterm():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(handler).result() is signal.getsignal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError(errno.EROFS, "Read-only file system", "/other"), "Read-only file system: /other"),
        (OSError(errno.EACCES, "Permission denied", "a.csv"), "Permission denied"),
        (OSError("a reason without a number"), "a reason without a number"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_named_with_the_reason(error: OSError, reason: str) -> None:
    message = re.escape(f"--csv a.csv: cannot be written ({reason})")
    with pytest.raises(InputError, match=f"^{message}$"), reports_unwritable("--csv a.csv"):
        raise error


@pytest.mark.parametrize(
    "redirection", ["| head -1", "2>&1 | head -1", ">&-", "2>&-", ">&- 2>&-", "> /dev/full"]
)
def test_a_closed_standard_output_ends_nothing(redirection: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(
        "import sys, pathlib\n"
        "from fmnist.core.errors import exits_cleanly\n"
        "@exits_cleanly\n"
        "def main():\n"
        "    print(sys.stdout.isatty(), flush=True)\n"
        "    for number in range(20_000):\n"  # more than a pipe holds
        "        print(number)\n"
        "    print('end', file=sys.stderr)\n"
        "    pathlib.Path('done').touch()\n"
        "main()\n"
    )
    command = f"set -o pipefail; {sys.executable} main.py {redirection}"
    root = str(Path(__file__).parents[2])
    ended = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr in ("end\n", "")
    assert (tmp_path / "done").exists()
