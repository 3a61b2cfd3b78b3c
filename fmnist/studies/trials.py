"""The trials of a search as people see them: lines while it runs, rows of its page, which flags mattered."""

import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from fmnist.core.runs import Run
from fmnist.core.tables import counted, short, time_text
from fmnist.studies.entries import Entry

REASON, LOST = "reason", "lost"  # names of what is noted of a trial
STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
"""The states of trials in words."""


def counted_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials of a study without those that were lost before they began."""
    return [trial for trial in study.get_trials(deepcopy=False) if LOST not in trial.user_attrs]


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """Return the best finished trial; None where none is finished."""
    finished = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return study.best_trial if finished else None


def others_run(study: optuna.Study) -> bool:
    """Tell whether other processes still run trials, after this one has ended its own."""
    return bool(study.get_trials(deepcopy=False, states=[TrialState.RUNNING]))


def entries_of_trials(study: optuna.Study, runs: Path) -> list[Entry]:
    """Return the trials of a search, each with its newest run in a folder of this machine."""
    by_trial = {}
    for run in Run.all(runs):
        own = run.record.get("study") or {}
        if own.get("name") == study.study_name:
            by_trial[own["trial"]] = run
    return [
        Entry(
            number=trial.number,
            values=dict(trial.params),
            state=STATES[trial.state],
            result=trial.value if trial.state.is_finished() else None,
            run=by_trial.get(trial.number),
            curve=dict(trial.intermediate_values),
            reason=str(trial.user_attrs.get(REASON, "")),
        )
        for trial in counted_trials(study)
    ]


def importance(study: optuna.Study) -> dict[str, float]:
    """Return the share of the variance that each flag explains; empty where that cannot be said."""
    finished = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if len({trial.value for trial in finished}) < 4:
        return {}
    try:
        return dict(get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0)))
    except (RuntimeError, ValueError):  # no flag is common to all, or none varies
        return {}


class Progress:
    """Prints the progress of a search, towards its total number of trials."""

    def __init__(self, study: optuna.Study, trials: int, metric: str) -> None:
        self._study, self._trials, self._metric = study, trials, metric
        self._start, self._done_here, self._width = time.monotonic(), 0, 0

    def line(self, number: int) -> None:
        """Print how a trial ended, the best one so far, and the time that is left."""
        self._done_here += 1
        trials = counted_trials(self._study)
        trial = next(trial for trial in trials if trial.number == number)
        total = max(self._trials, len(trials))
        left = total - sum(trial.state.is_finished() for trial in trials)
        parts = [f"trial {number} {STATES[trial.state]}: {self._outcome(trial)}"]
        parts += [", ".join(f"{flag} {short(value)}" for flag, value in trial.params.items())]
        if best := best_trial(self._study):
            parts.append(f"best {best.value:.4f} of trial {best.number}")
        parts.append(f"{total - left} of {counted(total, 'trial')}")
        if left:
            seconds = (time.monotonic() - self._start) / self._done_here * left
            parts.append(f"about {time_text(seconds)} left")
        if self._width:  # remove the line that ``show`` has written
            print(f"\r{'':{self._width}}\r", end="")
            self._width = 0
        print("; ".join(part for part in parts if part), flush=True)

    def show(self, running: Mapping[int, Mapping[int, float]]) -> None:
        """Show on a terminal, in one line that is overwritten, the latest epoch of each running trial.

        ``running`` holds the metric by epoch, by trial.
        """
        parts = [
            f"trial {number}"
            + (f" epoch {max(values) + 1} {values[max(values)]:.4f}" if values else " begins")
            for number, values in running.items()
        ]
        text = "; ".join(parts)[: shutil.get_terminal_size().columns - 1]  # a second line would stay
        print(f"\r{text:{self._width}}", end="", flush=True)
        self._width = len(text)

    def _outcome(self, trial: FrozenTrial) -> str:
        if trial.state == TrialState.FAIL:
            return str(trial.user_attrs.get(REASON))
        epochs = ""
        if trial.state == TrialState.PRUNED and trial.last_step is not None:
            epochs = f" in epoch {trial.last_step + 1}"
        value = "no number" if trial.value is None else f"{trial.value:.4f}"
        return f"{self._metric} {value}{epochs}"
