"""The run of a trial: start it or continue it, follow its validation metric, read how it ended."""

import os
import signal
from pathlib import Path
from typing import Any

from fmnist.core.errors import INTERRUPTED_STATUS, SIGTERM_STATUS
from fmnist.core.runs import Run
from fmnist.studies.many import can_go_on
from fmnist.studies.processes import Child, LostChild, lock

STOPPED = (INTERRUPTED_STATUS, SIGTERM_STATUS, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)


class TrialRun:
    """The run of one trial, in a process.

    Args:
        folder: Of the study.
        name: Of its runs.
        number: Of the trial.
        command: Script and arguments of a run from the start.
        record: What it records as its ``study``.
        metric: The validation metric that is followed.
    """

    def __init__(
        self, folder: Path, name: str, number: int, command: list[str], record: dict[str, Any], metric: str
    ) -> None:
        self.number, self.metric = number, metric
        self._runs, self._log = folder / name, folder / "trials" / f"{number}.log"
        self._lock_path = self._log.with_suffix(".lock")
        self._command, self._record = command, record
        self._child: Child | LostChild | None = None
        self._was_stopped = False
        self._found: Path | None = None

    def start(self) -> None:
        """Begin or continue it, unless it has ended, or its process has survived the study that began it."""
        self._found = self._child = None
        descriptor = lock(self._lock_path)
        if descriptor is None:
            self._child = LostChild(self._lock_path)
            return
        try:
            run = self.find()
            if run is not None and run.status in ("finished", "failed", "pruned"):
                self._child = None
                return
            command = self._command
            if run is not None and can_go_on(run):
                command = [command[0], "--resume", str(run.path)]
            elif run is not None:
                # no longer the run of this trial, which begins anew
                study = {**self._record, "trial": None}
                run.finish("failed", error=RuntimeError("killed before its first checkpoint"), study=study)
            self._child = Child(command, self._record, self._log, descriptor)
        finally:
            os.close(descriptor)  # from now on the process alone holds the lock

    def find(self) -> Run | None:
        """Return its run folder, the newest if it began anew; None before there is one."""
        if self._found is not None:
            return Run(self._found)
        number, study = self.number, self._record["name"]
        for run in reversed(Run.all(self._runs)):
            own = run.record.get("study") or {}
            if (own.get("name"), own.get("trial")) == (study, number):
                if self._child is not None:  # from now on it stays the newest
                    self._found = run.path
                return run
        return None

    @property
    def child(self) -> Child | LostChild | None:
        """Its process, if it has one."""
        return self._child

    def ended(self) -> int | None:
        """Return the exit status of its process, 0 if there was nothing to do; None while it runs."""
        return 0 if self._child is None else self._child.poll()

    def goes_on(self, status: int) -> bool:
        """Continue it once if its process was stopped by another than the study; return whether it was."""
        run = self.find()
        lost = isinstance(self._child, LostChild) and (run is None or run.status in ("running", "stopped"))
        if not lost and (status not in STOPPED or self._was_stopped):
            return False
        self._was_stopped = not lost
        self.start()
        return True

    def values(self) -> dict[int, float]:
        """Return the metric by epoch, counted from 0, as far as it is written."""
        run = self.find()
        if run is None:
            return {}
        try:
            epochs, values = run.history()[self.metric]
        except (OSError, KeyError, ValueError):
            return {}
        return dict(zip(epochs.tolist(), values.tolist(), strict=True))

    def outcome(self, status: int) -> tuple[float | None, str]:
        """Return the metric of the model that the run has kept, or None and why there is none.

        Args:
            status: The exit status of its process.
        """
        run = self.find()
        part, name = self.metric.split("/", 1)
        if run is not None and run.is_scored:
            value = ((run.record.get("metrics") or {}).get(part) or {}).get(name)
            if isinstance(value, int | float):
                return float(value), ""
            return None, f"the run has no {self.metric} that is a number"
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
