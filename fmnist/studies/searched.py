"""A search as the page shows it: its trials with their runs, and which flags mattered."""

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from fmnist.core.runs import Run
from fmnist.studies.entries import Entry
from fmnist.studies.progress import STATES
from fmnist.studies.search import REASON, Plan, counted_trials


def entries_of_trials(plan: Plan, study: optuna.Study) -> list[Entry]:
    """Return the trials of a search, each with its newest run on this machine."""
    runs = {}
    for run in Run.all(plan.folder / plan.run_name):
        if (run.record.get("study") or {}).get("name") == plan.name:
            runs[run.record["study"]["trial"]] = run
    return [
        Entry(
            number=trial.number,
            values=dict(trial.params),
            state=STATES[trial.state],
            result=trial.value if trial.state.is_finished() else None,
            run=runs.get(trial.number),
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
