"""The end of a search: its best setting and the default one, each trained with several seeds and tested."""

import optuna

from fmnist.core.files import to_json, write_file
from fmnist.core.runs import Run
from fmnist.core.statistics import mean_interval
from fmnist.evaluation.comparison import write_comparison
from fmnist.evaluation.comparison_tables import points
from fmnist.studies.entries import accuracy, spread
from fmnist.studies.jobs import Job, over_seeds
from fmnist.studies.many import run_jobs
from fmnist.studies.outcome import COMPARISON, RECORD, Outcome
from fmnist.studies.resolver import Resolver
from fmnist.studies.search import Plan
from fmnist.studies.space import as_flags


def finish(plan: Plan, study: optuna.Study, seeds: int, resolver: Resolver, parallel: int) -> Outcome | None:
    """Train and test the best setting and the default one over seeds; None if a run failed.

    Runs that are there already are not trained again. The comparison of the two is written into the study's
    folder, with the paired test of their first seeds on the test images.

    Args:
        plan: Of the search.
        study: Of the search; one of its trials is finished.
        seeds: How many.
        resolver: Entered.
        parallel: How many runs may go on at the same time.
    """
    trial = study.best_trial
    by_flag = {parameter.flag: parameter for parameter in plan.parameters}
    values = {flag: by_flag[flag].value_of(kept) for flag, kept in trial.params.items()}
    settings: dict[str, list[str]] = {
        f"trial {trial.number}": [*as_flags(values), "--name", f"{plan.name}-best"],
        "default": [],
    }
    jobs = [
        job
        for label, flags in settings.items()
        for job in over_seeds(
            [Job(plan.job.path, [*plan.job.command, *flags, "--test", "true"], False, {"setting": label})],
            seeds,
            None,
        )
    ]
    runs = run_jobs(jobs, resolver, f"{plan.name}-finish", plan.folder, parallel)
    done = [run for run in runs if run is not None]
    if len(done) < len(jobs):
        return None
    best, default = done[:seeds], done[seeds:]
    root = best[0].config["data"]["root"]
    tables, _ = write_comparison([run.path for run in done], plan.folder / COMPARISON, root)
    sentences = _sentences(trial.number, best, default)
    sentences += [f"With the same seed and test images: {row['sentence']}." for row in tables["pairs"].rows]
    result = Outcome(trial.number, best, default, sentences)
    record = {
        "trial": trial.number,
        "best": [str(run.path) for run in best],
        "default": [str(run.path) for run in default],
        "sentences": sentences,
    }
    write_file(plan.folder / RECORD, to_json(record))
    return result


def _sentences(trial: int, best: list[Run], default: list[Run]) -> list[str]:
    """Return the accuracies of both settings, and their difference over seeds."""
    results = {f"Trial {trial}": _accuracies(best), "The default": _accuracies(default)}
    sentences = [f"{name}: test accuracy {spread(values)}." for name, values in results.items()]
    differences = [one - other for one, other in zip(*results.values(), strict=True)]
    found = mean_interval(differences)
    if found["low"] is not None and found["high"] is not None:
        sentences.append(
            f"Difference over seeds, paired by seed: {points(found['mean'] or 0)} points, "
            f"95 % {points(found['low'])} to {points(found['high'])}."
        )
    return sentences


def _accuracies(runs: list[Run]) -> list[float]:
    return [accuracy(run) or 0.0 for run in runs]
