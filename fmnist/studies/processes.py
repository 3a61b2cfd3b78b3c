"""The processes of a study's runs: begun, continued, stopped together, known by their locks."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from fmnist.core.errors import INTERRUPTED_STATUS, SIGTERM_STATUS, InputError, exits_on_sigterm
from fmnist.core.runs import STUDY, Run

STOPPED = (INTERRUPTED_STATUS, SIGTERM_STATUS, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)


class Child:
    """The process of a run, in a session of its own: Ctrl-C reaches the study alone, which passes it on once.

    Args:
        command: Script and arguments.
        study: What the run records as its ``study``.
        log: File to which its output is appended; ``None`` shows it.
        lock: A descriptor that the process inherits, with the lock that belongs to it.
    """

    def __init__(self, command: list[str], study: dict[str, Any], log: Path | None, lock: int) -> None:
        with contextlib.ExitStack() as stack:
            output = None if log is None else stack.enter_context(log.open("ab"))
            self._process = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output and subprocess.STDOUT,
                start_new_session=True, pass_fds=[lock], env={**os.environ, STUDY: json.dumps(study)},
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
    """The process of a run that goes on although its study was killed; it has locked the file ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def poll(self) -> int | None:
        """Return 0 when it has ended, None while it runs."""
        return None if is_locked(self._path) else 0

    def stop(self) -> None:
        """Do nothing: its number is not known."""

    def wait(self) -> None:
        """Do nothing: it is not waited for when the study stops."""


def lock(path: Path, wait: bool = False) -> int | None:
    """Lock a file, creating it; return the descriptor that holds the lock, None if another holds it.

    With ``wait``, wait until no other holds it. The lock ends when every process that has inherited the
    descriptor has closed it or has ended, however.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[int | None]:
    """Hold the lock of a file in the block, see ``lock``; a process that inherits it keeps it after that."""
    descriptor = lock(path, wait)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Return whether another process holds the lock of a file."""
    with locked(path) as descriptor:
        return descriptor is None


@contextlib.contextmanager
def stops_children(running: Callable[[], Iterable[Child | LostChild]]) -> Iterator[None]:
    """Stop the children that run when the block is left early, by a signal or an error.

    They are asked once and waited for; a second Ctrl-C asks again, at which a training stops at once.
    """
    with exits_on_sigterm():
        try:
            yield
        except BaseException:
            children = list(running())
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


def can_go_on(run: Run) -> bool:
    """Return whether an unfinished run has a checkpoint to continue from."""
    return run.kind == "lightning" and (run.path / "checkpoints" / "last.ckpt").exists()


class TrialRun:
    """The run of one trial, in a process.

    Args:
        folder: Of the study.
        name: Of its runs.
        command: Script and arguments of a run from the start.
        record: What it records as its ``study``: at least ``name``, and ``trial``, the number of the trial.
        metric: The validation metric that is followed.

    Attributes:
        child: Its process; None where it has none.
    """

    def __init__(
        self, folder: Path, name: str, command: list[str], record: dict[str, Any], metric: str
    ) -> None:
        self.child: Child | LostChild | None = None
        self._runs, self._log = folder / name, folder / "trials" / f"{record['trial']}.log"
        self._lock_path = self._log.with_suffix(".lock")
        self._command, self._record, self._metric = command, record, metric
        self._was_stopped = False
        self._found: Path | None = None

    def start(self) -> None:
        """Begin or continue it, unless it has ended, or its process has survived the study that began it."""
        self._found = self.child = None
        with locked(self._lock_path) as descriptor:
            if descriptor is None:
                self.child = LostChild(self._lock_path)
                return
            run = self.find()
            if run is not None and run.status in ("finished", "failed", "pruned"):
                return
            command = self._command
            if run is not None and can_go_on(run):
                command = [command[0], "--resume", str(run.path)]
            elif run is not None:
                # no longer the run of this trial, which begins anew
                study = {**self._record, "trial": None}
                run.finish("failed", error=InputError("killed before its first checkpoint"), study=study)
            self.child = Child(command, self._record, self._log, descriptor)

    def find(self) -> Run | None:
        """Return its run folder, the newest if it began anew; None before there is one."""
        if self._found is not None:
            return Run(self._found)
        for run in reversed(Run.all(self._runs)):
            own = run.record.get("study") or {}
            if all(own.get(key) == self._record[key] for key in ("name", "trial")):
                if self.child is not None:  # from now on it stays the newest
                    self._found = run.path
                return run
        return None

    def ended(self) -> int | None:
        """Return the exit status of its process, 0 if there was nothing to do; None while it runs."""
        return 0 if self.child is None else self.child.poll()

    def restart_if_stopped(self, status: int) -> bool:
        """Continue it once if its process was stopped by another than the study; return whether it was."""
        run = self.find()
        lost = isinstance(self.child, LostChild) and (run is None or run.status in ("running", "stopped"))
        if not lost and (status not in STOPPED or self._was_stopped):
            return False
        self._was_stopped = not lost
        self.start()
        return True

    def values(self) -> dict[int, float]:
        """Return the metric by epoch, counted from 0, of the epochs that have ended.

        Within an epoch, another validation may still replace it.
        """
        run = self.find()
        if run is None:
            return {}
        try:
            history = run.history()
            epochs, values = history[self._metric]
            ended = set(history["train/loss"][0].tolist())
        except (OSError, KeyError, ValueError):
            return {}
        return {
            epoch: value
            for epoch, value in zip(epochs.tolist(), values.tolist(), strict=True)
            if epoch in ended
        }

    def outcome(self, status: int) -> tuple[float | None, str]:
        """Return the metric of the model that the run has kept; or, by its exit status, why there is none."""
        run = self.find()
        part, name = self._metric.split("/", 1)
        if run is not None and run.is_scored:
            value = run.metrics(part).get(name)
            if isinstance(value, int | float):
                return float(value), ""
            return None, f"the run has no {self._metric} that is a number"
        if status < 0:
            cause = ", perhaps for lack of memory" if status == -signal.SIGKILL else ""
            return None, f"ended by signal {-status}{cause}"
        if status in STOPPED:
            return None, "was stopped by a signal, twice"
        if run is not None and run.record.get("error"):
            return None, str(run.record["error"])
        return None, _last_error(self._log) or f"exit status {status}"


def _last_error(log: Path) -> str:
    """Return the last line of an output, without what it begins with for people."""
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    errors = [line for line in lines if line.startswith("error: ")] or lines
    return errors[-1].removeprefix("error: ")[:300] if errors else ""
