"""What a search prints: a line for each trial that has ended, and on a terminal what is going on."""

import time
from collections.abc import Mapping

import optuna
from optuna.trial import FrozenTrial, TrialState

from fmnist.core.tables import counted, duration, short

STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}
"""The states of trials in words."""


class Progress:
    """Prints how far a search is.

    Args:
        study: The study.
        trials: How many trials it has in the end.
        metric: What is searched for.
    """

    def __init__(self, study: optuna.Study, trials: int, metric: str) -> None:
        self._study, self._trials, self._metric = study, trials, metric
        self._start, self._done_here, self._width = time.monotonic(), 0, 0

    def line(self, number: int) -> None:
        """Print how a trial ended, the best one so far, and the time that is left."""
        self._done_here += 1
        trials = self._study.get_trials(deepcopy=False)
        trial = next(trial for trial in trials if trial.number == number)
        left = sum(not trial.state.is_finished() for trial in trials) + max(0, self._trials - len(trials))
        seconds = (time.monotonic() - self._start) / self._done_here * left
        parts = [f"trial {number} {STATES[trial.state]}: {self._outcome(trial)}", _values(trial)]
        if any(other.state == TrialState.COMPLETE for other in trials):
            best = self._study.best_trial
            parts.append(f"best {best.value:.4f} of trial {best.number}")
        parts.append(f"{self._trials - left} of {counted(self._trials, 'trial')}")
        if left:
            parts.append(f"about {duration('left')({'left': seconds})} left")
        self._clear()
        print("; ".join(part for part in parts if part), flush=True)

    def show(self, running: Mapping[int, Mapping[int, float]]) -> None:
        """Show on a terminal, in one line that is written again, the latest epoch of each trial that runs.

        Args:
            running: The metric by epoch, by trial.
        """
        parts = [
            f"trial {number}"
            + (f" epoch {max(values) + 1} {values[max(values)]:.4f}" if values else " begins")
            for number, values in running.items()
        ]
        text = "; ".join(parts)[:100]
        print(f"\r{text:{self._width}}", end="", flush=True)
        self._width = len(text)

    def _clear(self) -> None:
        if self._width:
            print(f"\r{'':{self._width}}\r", end="")
            self._width = 0

    def _outcome(self, trial: FrozenTrial) -> str:
        if trial.state == TrialState.FAIL:
            return str(trial.user_attrs.get("reason"))
        epochs = (
            f" in epoch {trial.last_step + 1}"
            if trial.state == TrialState.PRUNED and trial.last_step is not None
            else ""
        )
        value = "no number" if trial.value is None else f"{trial.value:.4f}"
        return f"{self._metric} {value}{epochs}"


def _values(trial: FrozenTrial) -> str:
    return ", ".join(f"{flag} {short(value)}" for flag, value in trial.params.items())
