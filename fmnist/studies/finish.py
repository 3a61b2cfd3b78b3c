"""The end of a search: its best setting and the default one, each trained with several seeds and tested."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from fmnist.core.errors import InputError, quoted
from fmnist.core.files import to_json, write_file
from fmnist.core.runs import Run
from fmnist.core.statistics import spread_of
from fmnist.evaluation.comparison import write_comparison
from fmnist.evaluation.comparison_tables import points
from fmnist.studies.entries import SEED, accuracy, spread
from fmnist.studies.jobs import Job, repeated
from fmnist.studies.many import run_jobs
from fmnist.studies.resolver import Resolver
from fmnist.studies.search import Plan
from fmnist.studies.space import as_flags
from fmnist.studies.trials import best_trial, others_run

RECORD = "finish.json"
COMPARISON = "comparison"
"""Folder of the page that compares the best setting with the default one."""


@dataclass(frozen=True)
class Outcome:
    """What a search was worth on the test set.

    Attributes:
        trial: Number of the trial whose setting was the best.
        best: The runs of that setting, by rising seed.
        default: The runs of the configuration without it.
        sentences: The result in words.
    """

    trial: int
    best: list[Run]
    default: list[Run]
    sentences: list[str]


def finish(plan: Plan, study: optuna.Study, seeds: int, resolver: Resolver, parallel: int) -> str:
    """Train and test the best setting and the default one over seeds; print and record what came of it.

    Runs that are there already are not trained again. The comparison of the two is written into the study's
    folder, with the paired test of their first seeds on the test images. Up to ``parallel`` runs go on at the
    same time.

    Returns:
        Why that did not work; empty if it did.

    Raises:
        InputError: A run holds no test accuracy.
    """
    if others_run(study):
        return "other processes still run trials; repeat the command when they are done"
    if (trial := best_trial(study)) is None:
        return "no trial is finished"
    runs = run_jobs(_jobs(plan, trial, seeds), resolver, f"{plan.name}-finish", plan.folder, parallel)
    done = [run for run in runs if run is not None]
    if len(done) < len(runs):
        return "a run failed; the same command goes on from here"
    best, default = done[:seeds], done[seeds:]
    tables, _ = write_comparison(
        [run.path for run in done], plan.folder / COMPARISON, best[0].config["data"]["root"]
    )
    sentences = sentences_of({f"Trial {trial.number}": best, "The default": default})
    sentences += [f"With the same seed and test images: {row['sentence']}." for row in tables["pairs"].rows]
    record = {
        "trial": trial.number,
        "best": [str(run.path) for run in best],
        "default": [str(run.path) for run in default],
        "sentences": sentences,
    }
    write_file(plan.folder / RECORD, to_json(record))
    print("", *sentences, sep="\n")
    return ""


def _jobs(plan: Plan, trial: optuna.trial.FrozenTrial, seeds: int) -> list[Job]:
    """Return the runs of the setting of a trial, then those of the default one."""
    by_flag = {parameter.flag: parameter for parameter in plan.parameters}
    values = {flag: by_flag[flag].value_of(kept) for flag, kept in trial.params.items()}
    settings: dict[str, list[str]] = {
        f"trial {trial.number}": [*as_flags(values), "--name", f"{plan.name}-best"],
        "default": [],
    }
    jobs = [
        plan.job._replace(command=[*plan.job.command, *flags, "--test", "true"], values={"setting": label})
        for label, flags in settings.items()
    ]
    return repeated(jobs, {SEED: seeds})


def sentences_of(settings: dict[str, list[Run]]) -> list[str]:
    """Return the accuracies of both settings, and their difference over seeds."""
    results = {name: [_accuracy(run) for run in runs] for name, runs in settings.items()}
    sentences = [f"{name}: test accuracy {spread(values)}." for name, values in results.items()]
    differences = [one - other for one, other in zip(*results.values(), strict=True)]
    if len(differences) > 1:
        found = spread_of(differences)
        sentences.append(
            f"Difference over seeds, paired by seed: {points(found.mean)} points, "
            f"95 % {points(found.low)} to {points(found.high)}."
        )
    return sentences


def _accuracy(run: Run) -> float:
    if (value := accuracy(run)) is None:
        raise InputError(
            f"{quoted(run.path)}: its run.json holds no test accuracy; remove it, and --finish again"
        )
    return value


def read_outcome(folder: Path) -> Outcome | None:
    """Read what ``finish`` has left in a study's folder; None where there is nothing."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text())
        best, default = ([Run(path) for path in record[part]] for part in ("best", "default"))
        return Outcome(record["trial"], best, default, record["sentences"])
    except (OSError, ValueError, KeyError, TypeError, InputError):
        return None
