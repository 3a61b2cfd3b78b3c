"""The search for good settings: ask for values, train with them, tell what came of it."""

import contextlib
import os
import platform
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from fmnist.core.errors import InputError, quoted, reports_unwritable
from fmnist.core.metrics import METRICS
from fmnist.studies.jobs import Job
from fmnist.studies.processes import Child, LostChild, TrialRun, lock, locked, stops_children
from fmnist.studies.space import Parameter, as_flags, plain
from fmnist.studies.storage import open_database, open_journal, pruner, sampler
from fmnist.studies.trials import LOST, REASON, Progress, counted_trials

POLL_SECONDS = 0.2
MOST_FAILURES = 3
SECONDS_BEFORE_LOST = 60.0
MACHINE = "machine"  # name of what is noted of a trial
MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True)
class Plan:
    """What a search does.

    Attributes:
        folder: The study's folder.
        name: The study's name.
        job: The command that all trials have in common.
        run_name: ``--name`` of the trials' runs.
        parameters: The search space.
        metric: The validation metric to optimise.
        trials: Total number of trials.
        seed: Seed of the sampler.
        prune: The pruning rule, see ``pruner``.
        epochs: Epochs of a whole training; None for an estimator, whose trials are never pruned.
        asked: What tells this study from others, as plain values by name.
        storage: Address of a database; None for the journal file in the folder.
    """

    folder: Path
    name: str
    job: Job
    run_name: str
    parameters: list[Parameter]
    metric: str
    trials: int
    seed: int
    prune: str
    epochs: int | None
    asked: dict[str, Any]
    storage: str | None = None

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """``maximize`` or ``minimize``, by the metric."""
        lower_is_better = {"loss", *(metric.name for metric in METRICS if metric.lower_is_better)}
        return "minimize" if self.metric.rpartition("/")[2] in lower_is_better else "maximize"


def open_study(plan: Plan) -> tuple[optuna.Study, BaseStorage]:
    """Open the study in its storage, and create it if it is new.

    Raises:
        InputError: The folder cannot be written, or the storage cannot be reached or holds a study of this
            name with another plan.
    """
    database = None if plan.storage is None else open_database(plan.storage)  # before there is a folder
    rule = pruner(plan.prune, plan.epochs)
    with reports_unwritable(f"--logs {quoted(plan.folder.parents[1])}"):
        (plan.folder / "trials").mkdir(parents=True, exist_ok=True)
        storage = database or open_journal(plan.folder)
        with locked(plan.folder / ".lock", wait=True):
            study = optuna.create_study(
                storage=storage,
                study_name=plan.name,
                direction=plan.direction,
                pruner=rule,
                load_if_exists=True,
            )
            if "asked" not in study.user_attrs:
                study.set_user_attr("asked", plan.asked)
    before = study.user_attrs["asked"]
    for key in dict.fromkeys([*before, *plan.asked]):
        values = before.get(key), plan.asked.get(key)
        if values[0] != values[1]:
            then, now = (f"without {key}" if value is None else f"with {key} {value}" for value in values)
            raise InputError(
                f"--study {plan.name}: was started {then}, and not {now}; give another study another name"
            )
    return study, storage


def machine_of(folder: Path) -> str:
    """Return what tells this machine's folder of a study from those of others that share its database.

    Copied machines may have one host name, and containers of one image one machine id.
    """
    identity = MACHINE_ID.read_text().strip() if MACHINE_ID.is_file() else ""
    return f"{platform.node()}:{identity}:{folder.resolve()}"


@dataclass
class _Running:
    """A trial that this process works on.

    Attributes:
        trial: The trial.
        lock: The descriptor that holds the lock of its file.
        run: Its training.
        is_pruned: Whether it was told to stop; its process may not have ended yet.
        seen: Number of its epochs that were looked at.
    """

    trial: Trial
    lock: int
    run: TrialRun
    is_pruned: bool = False
    seen: int = 0


class Search:
    """A search that this process takes part in; others may, on the same storage.

    A trial belongs to the process that holds the lock of its file in ``trials/``. The lock ends with that
    process, so whatever kills it, another one sees that the trial has nobody and continues it.

    Args:
        plan: What is searched, and how.
        study: The study, as ``open_study`` returns it.
        storage: Its storage.
        jobs: Number of trials that run at the same time in this process.
    """

    def __init__(self, plan: Plan, study: optuna.Study, storage: BaseStorage, jobs: int) -> None:
        self.plan, self.study, self._storage, self._jobs = plan, study, storage, jobs
        self._machine = machine_of(plan.folder)
        self._running: dict[int, _Running] = {}
        # why the last trials failed; empty texts for those that did not
        self._reasons: deque[str] = deque(maxlen=MOST_FAILURES)
        self._progress = Progress(study, plan.trials, plan.metric)

    def run(self) -> str:
        """Run trials until there are as many as planned, or several fail in a row.

        Returns:
            Why the last of these failed; empty otherwise.
        """
        with stops_children(self._children):
            while True:
                while len(self._running) < self._jobs and not self._has_given_up():
                    if (claimed := self._claim()) is None:
                        break
                    self._start(*claimed)
                if not self._running:
                    return self._reasons[-1] if self._has_given_up() else ""
                for running in list(self._running.values()):
                    self._follow(running)
                if sys.stdout.isatty():
                    latest = {number: running.run.values() for number, running in self._running.items()}
                    self._progress.show(latest)
                time.sleep(POLL_SECONDS)

    def _has_given_up(self) -> bool:
        return len(self._reasons) == MOST_FAILURES and all(self._reasons)

    def _children(self) -> list[Child | LostChild]:
        return [running.run.child for running in self._running.values() if running.run.child is not None]

    def _claim(self) -> tuple[Trial, int] | None:
        """Return a trial that nobody works on any more, else a new one, with its lock; else None."""
        with locked(self.plan.folder / ".lock", wait=True):
            for trial in counted_trials(self.study):
                if trial.state == TrialState.RUNNING and trial.number not in self._running:
                    if self._is_lost(trial):
                        with contextlib.suppress(ValueError):  # another process was faster
                            self.study.tell(trial.number, state=TrialState.FAIL)
                    elif self._is_ours(trial) and (owned := lock(self._lock_path(trial.number))) is not None:
                        return Trial(self.study, self._trial_id(trial.number)), owned
            if len(counted_trials(self.study)) >= self.plan.trials:
                return None
            new = self.study.ask()
            owned = lock(self._lock_path(new.number), wait=True)
            assert owned is not None
            new.set_user_attr(MACHINE, self._machine)
            surplus = [trial for trial in counted_trials(self.study) if trial.number < new.number]
            if len(surplus) >= self.plan.trials:  # a process on another machine has asked at the same time
                new.set_user_attr(LOST, "there were enough already")
                self.study.tell(new, state=TrialState.FAIL)
                os.close(owned)
                return None
            return new, owned

    def _is_ours(self, trial: FrozenTrial) -> bool:
        """Return whether the files of a trial are here: its lock, or all of them where no run was begun."""
        is_here = self._lock_path(trial.number).exists() or trial.user_attrs.get(MACHINE) == self._machine
        return is_here or (self.plan.storage is None and MACHINE not in trial.user_attrs)

    def _is_lost(self, trial: FrozenTrial) -> bool:
        """Note a trial of a database whose process was killed before it noted its machine."""
        if MACHINE in trial.user_attrs or self._is_ours(trial) or trial.datetime_start is None:
            return False
        if time.time() - trial.datetime_start.timestamp() < SECONDS_BEFORE_LOST:
            return False
        trial_id = self._trial_id(trial.number)
        self._storage.set_trial_user_attr(trial_id, LOST, "its process ended before it began")
        return True

    def _lock_path(self, number: int) -> Path:
        return self.plan.folder / "trials" / f"{number}.owner"

    def _trial_id(self, number: int) -> int:
        study_id = self._storage.get_study_id_from_name(self.plan.name)
        return self._storage.get_trial_id_from_study_id_trial_number(study_id, number)

    def _start(self, trial: Trial, owned: int) -> None:
        values = self._values(trial)
        shown = {flag: plain(value) for flag, value in values.items()}
        record = {"name": self.plan.name, "trial": trial.number, "values": shown}
        places = ["--name", self.plan.run_name, "--logs", str(self.plan.folder), "--test", "false"]
        command = [*self.plan.job.command, *as_flags(values), *places]
        run = TrialRun(self.plan.folder, self.plan.run_name, command, record, self.plan.metric)
        self._running[trial.number] = running = _Running(trial, owned, run)
        run.start()
        if self._steps(trial.number) and trial.should_prune():
            self._prune(running)  # was decided before the study was interrupted

    def _values(self, trial: Trial) -> dict[str, Any]:
        """Return the values of a trial by flag; those that it has not are drawn.

        Optuna draws the flags of all trials together, and then the conditional ones one by one. Each draw has
        a seed of its own.
        """
        self.study.sampler = sampler(self.plan.seed, trial.number)
        trial.relative_params  # noqa: B018 - reading it draws those of all trials
        values: dict[str, Any] = {}
        for parameter in self.plan.parameters:
            if parameter.applies_to(values):
                self.study.sampler = sampler(self.plan.seed, trial.number, parameter.flag)
                values[parameter.flag] = parameter.suggest(trial)
        return values

    def _steps(self, number: int) -> dict[int, float]:
        return self._storage.get_trial(self._trial_id(number)).intermediate_values

    def _follow(self, running: _Running) -> None:
        """Report new epochs of a trial one by one; prune or finish it when it is time.

        The epochs are looked at in order, so that what is decided does not depend on when they are seen.
        """
        trial, run = running.trial, running.run
        status = run.ended()  # before its values are read, so that none is missed
        if self.plan.epochs is not None and not running.is_pruned:
            values = run.values()
            known = self._steps(trial.number) if len(values) > running.seen else values
            for epoch in [epoch for epoch in values if epoch not in known]:
                trial.report(values[epoch], epoch)
                if trial.should_prune():
                    self._prune(running)
                    break
            running.seen = len(values)
        if status is None:
            return
        if running.is_pruned:
            if found := run.find():
                found.update(status="pruned", error=None)
            self.study.tell(trial, state=TrialState.PRUNED)
            self._done(running)
        elif not run.restart_if_stopped(status):
            value, reason = run.outcome(status)
            if value is None:
                trial.set_user_attr(REASON, reason)
                self.study.tell(trial, state=TrialState.FAIL)
            else:
                self.study.tell(trial, value)
            self._done(running, reason)

    def _prune(self, running: _Running) -> None:
        running.is_pruned = True
        if running.run.child is not None:
            running.run.child.stop()

    def _done(self, running: _Running, reason: str = "") -> None:
        del self._running[running.trial.number]
        os.close(running.lock)
        self._reasons.append(reason)
        self._progress.line(running.trial.number)
