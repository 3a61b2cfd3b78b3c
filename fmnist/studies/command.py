"""What ``scripts/study.py`` does: find out which runs are meant, run them, show what came of it."""

import argparse
import errno
import itertools
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmnist.core.commands import shell_command, shipped_path
from fmnist.core.errors import InputError, one_line, quoted, reports_unwritable
from fmnist.core.predictions import write_predictions
from fmnist.core.runs import Run
from fmnist.core.settings import settings_of
from fmnist.core.tables import counted
from fmnist.studies.entries import (
    FOLD,
    OVER_FOLDS,
    OVER_SEEDS,
    SEED,
    SPLIT_SEED,
    Entry,
    accuracy,
    entries_of_jobs,
    entries_of_runs,
    groups_of,
    spread,
    spreads_of,
)
from fmnist.studies.folder import RECORD, save_command, study_folder
from fmnist.studies.folds import FILE, out_of_fold, with_fold_size
from fmnist.studies.jobs import find_jobs, is_derived, job_of, repeated
from fmnist.studies.many import run_jobs, table_of
from fmnist.studies.resolver import Resolved, Resolver
from fmnist.studies.space import Parameter, check_space, read_space
from fmnist.studies.study_page import write_page

if TYPE_CHECKING:
    import optuna

    from fmnist.studies.search import Plan

NOT_COMPARED = "--compare: compares runs on the test set, and does not go with --test false"


def run(options: argparse.Namespace, paths: Sequence[str], flags: list[str], args: Sequence[str]) -> int:
    """Run a study, and return the exit status.

    Args:
        options: The flags of study.py itself.
        paths: YAML files and folders of them.
        flags: All other flags; they go to every run.
        args: The command line.

    Raises:
        InputError: The command line, or a file that it names, is wrong.
    """
    if options.folds:
        _check_folds(options, paths, flags)
    if options.seeds:
        _check_free((SEED,), flags, f"--seeds {options.seeds}")
    if options.split_seeds:
        _check_free((SPLIT_SEED,), flags, f"--split-seeds {options.split_seeds}")
    if options.compare and str(_value_of("--test", flags)).lower() == "false":
        raise InputError(NOT_COMPARED)
    if options.search and (paths or options.seeds or options.split_seeds or options.compare):
        raise InputError(
            "--search: goes with --config FILE, and not with PATH, --seeds, --split-seeds or --compare"
        )
    if paths and options.config:
        raise InputError(f"{quoted(paths[0])}: does not go with --config; name either files or --config")
    if not (paths or options.config):
        raise InputError(
            "name YAML files, or --config FILE with --seeds N, --folds N or --search FILE (--help)"
        )
    with Resolver() as resolver:
        if options.search:
            return _search(options, flags, args, resolver)
        return _many(options, paths, flags, args, resolver)


def _many(
    options: argparse.Namespace,
    paths: Sequence[str],
    flags: list[str],
    args: Sequence[str],
    resolver: Resolver,
) -> int:
    """Run each of a list of configurations, with each seed or fold."""
    ranges = {SEED: options.seeds, SPLIT_SEED: options.split_seeds, FOLD: options.folds}
    is_repeated, over = any(ranges.values()), OVER_FOLDS if options.folds else OVER_SEEDS
    if paths:
        jobs, failed = find_jobs([shipped_path(path) for path in paths], flags)
        name = Path(paths[0]).stem if len(paths) == 1 else "runs"
        logs = _value_of("--logs", flags) or "logs"
    else:
        job = job_of(options.config, flags)
        config = resolver.resolve(job.command).config
        if options.compare and config.get("test") is False:
            raise InputError(NOT_COMPARED)
        if is_derived(config) and (options.seeds or options.split_seeds):
            flag = "--seeds" if options.seeds else "--split-seeds"
            raise InputError(
                f"{flag}: does not go with --blend or --features embedding, which take the newest runs, "
                "whatever the seed"
            )
        jobs, failed = [with_fold_size(job, options.folds, config) if options.folds else job], []
        kind = f"{over.unit}s" if is_repeated else "runs"
        name, logs = f"{config['name'].removesuffix(f'-{kind}')}-{kind}", config["logs"]
    jobs = repeated(jobs, ranges)
    name = options.study or name
    folder = study_folder(logs, name, options.resume)
    if options.compare:
        with reports_unwritable(f"--compare {quoted(options.compare)}"):
            Path(options.compare).mkdir(parents=True, exist_ok=True)
            if not os.access(options.compare, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    save_command(folder, args)
    (folder / FILE).unlink(missing_ok=True)  # of another number of folds
    outcomes = run_jobs(jobs, resolver, name, folder, options.jobs)
    runs = [run for run in outcomes if run is not None]
    failed += dict.fromkeys(job.path for job, run in zip(jobs, outcomes, strict=True) if run is None)
    if runs:
        if not all(run.is_tested for run in runs):
            if any(run.is_tested for run in runs):
                print("not all runs are tested, so the accuracies are those of validation")
            over = over._replace(part="val", metric="validation accuracy")
        values = [job.values for job, run in zip(jobs, outcomes, strict=True) if run is not None]
        print("\n" + table_of(runs, values, over.part).text(), flush=True)
        entries = entries_of_jobs(jobs, outcomes, over.part)
        again = shell_command("study", "--resume", str(folder))
        shown = entries if is_repeated else []
        sentences = spreads_of(groups_of(shown), over)
        if options.folds and len(runs) == len(jobs):
            predictions = out_of_fold(runs)
            write_predictions(folder / FILE, predictions)
            sentences.append(
                f"Accuracy {predictions.accuracy:.4f} on all {len(predictions.labels):,} out-of-fold "
                f"predictions, which {FILE} holds."
            )
            tested = [value for run in runs if (value := accuracy(run)) is not None]
            if len(tested) == len(runs):
                sentences.append(f"Test accuracy {spread(tested, over)}.")
        path = write_page(folder, again, entries, repeated=shown, sentences=sentences, over=over)
        print(*sentences, f"{quoted(path)}: open it in a browser", sep="\n", flush=True)
    if failed:
        print(f"failed: {shlex.join(map(str, failed))}", file=sys.stderr)
    if options.compare and len(runs) > 1:
        _compare(runs, Path(options.compare), allow_mixed=bool(options.split_seeds))
    return 1 if failed else 0


def _check_folds(options: argparse.Namespace, paths: Sequence[str], flags: Sequence[str]) -> None:
    """Refuse what does not go with ``--folds``."""
    others = {
        "PATH": paths,
        "--search": options.search,
        "--seeds": options.seeds,
        "--split-seeds": options.split_seeds,
        "--compare": options.compare,
    }
    if given := [name for name, value in others.items() if value]:
        raise InputError(f"--folds {options.folds}: goes with --config FILE, and not with {given[0]}")
    _check_free(("data.val_size", FOLD), flags, f"--folds {options.folds}")


def _check_free(names: Sequence[str], flags: Sequence[str], by: str) -> None:
    """Refuse flags that a study itself gives to each run, because of its option ``by``."""
    for name in names:
        if (value := _value_of(f"--{name}", flags)) is not None:
            raise InputError(f"--{name} {value}: leave it out, it is given by {by}")


def _value_of(flag: str, words: Sequence[str]) -> str | None:
    """Return the value of a flag among the words of a command line, the last one if it is repeated."""
    value = None
    for word, following in itertools.zip_longest(words, words[1:]):
        if word == flag:
            value = following
        elif word.startswith(f"{flag}="):
            value = word.partition("=")[2]
    return value


def _compare(runs: Sequence[Run], output: Path, allow_mixed: bool) -> None:
    from fmnist.evaluation.comparison import write_comparison

    root = runs[0].config["data"]["root"]
    _, lines = write_comparison([run.path for run in runs], output, root, allow_mixed=allow_mixed)
    print(*lines, f"{quoted(output / 'compare.html')}: {counted(len(runs), 'run')}", sep="\n")


def _search(options: argparse.Namespace, flags: list[str], args: Sequence[str], resolver: Resolver) -> int:
    """Search for good settings, and finish with them if that is asked for."""
    try:
        from optuna.exceptions import StorageInternalError

        from fmnist.studies.finish import finish
        from fmnist.studies.search import MOST_FAILURES, Search, open_study
        from fmnist.studies.trials import others_run
    except ImportError as error:
        raise InputError(
            f"--search: needs {error.name}, which is not installed: pip install -e '.[study]'"
        ) from None
    plan = _plan(options, flags, resolver)
    study, storage = open_study(plan)
    save_command(plan.folder, args)
    resolver.close()
    search = Search(plan, study, storage, options.jobs)
    print(f"{counted(plan.trials, 'trial')} in {quoted(plan.folder)}; trials/N.log is the output of trial N")
    again = shell_command("study", "--resume", str(plan.folder))
    try:
        failed = search.run()
    except StorageInternalError as error:
        raise InputError(f"--storage: was lost ({one_line(error)}); the same command goes on") from None
    except (KeyboardInterrupt, SystemExit):
        print(f"\nto continue: {again}", file=sys.stderr)
        _write_search_page(plan, study, again)
        raise
    best = _write_search_page(plan, study, again)
    if failed:
        print(f"stopped: {MOST_FAILURES} trials failed in a row: {failed}", file=sys.stderr)
        return 1
    if options.finish:
        if reason := finish(plan, study, options.finish, resolver, options.jobs):
            print(f"--finish: {reason}", file=sys.stderr)
            return 1
        _write_search_page(plan, study, again)
    elif best is None:
        if others_run(study):
            print("other processes still run trials")
            return 0
        print("no trial is finished", file=sys.stderr)
        return 1
    else:
        where = "on another machine" if best.run is None else quoted(best.run.path)
        print(f"best: trial {best.number}, {where}; to test it over seeds: {again} --finish 5")
    return 0


def _plan(options: argparse.Namespace, flags: list[str], resolver: Resolver) -> "Plan":
    """Return what a search does, once all that the command line names is checked."""
    from fmnist.studies.search import Plan

    job = job_of(options.config, flags)
    space = read_space(options.search)
    base = resolver.resolve(job.command)
    _check_metric(options.metric, base)
    name = options.study or f"{base.config['name']}-search"
    folder = study_folder(base.config["logs"], name, options.resume)
    if not (folder / RECORD).exists():
        check_space(options.search, space, job.command, resolver)
    epochs = None if "estimator" in base.config else (base.config.get("trainer") or {}).get("max_epochs")
    return Plan(
        folder=folder,
        name=name,
        job=job,
        run_name=base.config["name"],
        parameters=space,
        metric=options.metric,
        trials=options.trials,
        seed=options.sampler_seed,
        prune=options.prune,
        epochs=epochs if epochs is not None and epochs > 0 else None,  # -1 is no limit
        asked=_asked(options, flags, space, base),
        storage=options.storage,
    )


def _write_search_page(plan: "Plan", study: "optuna.Study", command: str) -> Entry | None:
    """Write the page of a search, print where it is, and return its best trial."""
    from fmnist.studies.finish import COMPARISON, read_outcome
    from fmnist.studies.study_page import Searched
    from fmnist.studies.trials import best_trial, entries_of_trials, importance

    finished = read_outcome(plan.folder)
    tested = (
        {} if finished is None else {f"trial {finished.trial}": finished.best, "default": finished.default}
    )
    entries = entries_of_trials(study, plan.folder / plan.run_name)
    path = write_page(
        plan.folder,
        command,
        entries,
        Searched(plan.metric, plan.direction == "maximize", importance(study)),
        entries_of_runs(tested),
        finished.sentences if finished else (),
        f"{COMPARISON}/compare.html" if finished else None,
    )
    print(f"{quoted(path)}: open it in a browser")
    best = best_trial(study)
    return None if best is None else next(entry for entry in entries if entry.number == best.number)


def _check_metric(metric: str, base: Resolved) -> None:
    """Refuse a metric that is not of validation, or that the runs will not have."""
    if metric.startswith("test/"):
        raise InputError(f"--metric {metric}: a search must not see the test set; take a metric of val/")
    if metric not in base.metrics:
        raise InputError(f"--metric {metric}: must be one of {', '.join(base.metrics)}")
    if not base.config["data"]["val_size"]:
        raise InputError("--data.val_size 0: a search needs validation images")


def _asked(
    options: argparse.Namespace, flags: Sequence[str], space: Sequence[Parameter], base: Resolved
) -> dict[str, Any]:
    """Return what makes a study this one: what decides about the values and results of its trials."""
    settings = settings_of(base.config)
    # what was asked for, not what this processor suggests
    settings["trainer.precision"] = _value_of("--trainer.precision", flags)
    search = {
        parameter.flag: {key: value for key, value in vars(parameter).items() if key != "flag" and value}
        for parameter in space
    }
    asked = {f"--{key.replace('.init_args', '')}": value for key, value in settings.items()}
    asked |= {"--metric": options.metric, "--sampler-seed": options.sampler_seed, "--prune": options.prune}
    return json.loads(json.dumps(asked | {"--search": search}))  # as a storage returns it
