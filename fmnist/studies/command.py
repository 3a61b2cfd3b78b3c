"""What ``scripts/study.py`` does: find out which runs are meant, run them, show what came of it."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fmnist.core.commands import shell_command, shipped_path
from fmnist.core.errors import InputError, one_line, quoted
from fmnist.core.runs import Run
from fmnist.core.settings import settings_of
from fmnist.core.tables import counted
from fmnist.studies.entries import entries_of_jobs, entries_of_runs, groups_of, spreads_of
from fmnist.studies.folder import RECORD, open_folder, save_command
from fmnist.studies.jobs import Job, find_jobs, job_of, over_seeds
from fmnist.studies.many import run_jobs, table_of
from fmnist.studies.outcome import COMPARISON, read_outcome
from fmnist.studies.resolver import Resolved, Resolver
from fmnist.studies.space import Parameter, as_flags, read_space
from fmnist.studies.study_page import write_page

SEARCH_FLAGS = {"trials": 20, "metric": "val/accuracy", "prune": "median", "storage": None, "finish": None}


def run(options: argparse.Namespace, paths: Sequence[str], flags: list[str], args: Sequence[str]) -> int:
    """Run a study.

    Args:
        options: The flags of study.py itself.
        paths: YAML files and folders of them.
        flags: All other flags; they go to every run.
        args: The command line.

    Returns:
        The exit status.

    Raises:
        InputError: The command line, or a file that it names, is wrong.
    """
    if options.search and (paths or options.seeds or options.split_seeds or options.compare):
        raise InputError(
            "--search: goes with --config FILE, and not with PATH, --seeds, --split-seeds or --compare"
        )
    if paths and options.config:
        raise InputError(f"{quoted(paths[0])}: does not go with --config; name either files or --config")
    if not (paths or options.config):
        raise InputError("name YAML files, or --config FILE with --seeds N or --search FILE (--help)")
    if not options.search:
        for name, default in SEARCH_FLAGS.items():
            if getattr(options, name) != default:
                raise InputError(f"--{name}: goes with --search FILE")
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
    """Run each of a list of configurations, with each seed."""
    seeds = options.seeds or options.split_seeds
    if paths:
        jobs, failed = find_jobs([shipped_path(path) for path in paths], flags)
        name, logs = _list_name(paths), _value_of("--logs", flags) or "logs"
    else:
        jobs, failed = [job_of(options.config, flags)], []
        config = resolver.resolve(jobs[0].command).config
        name, logs = f"{config['name']}-{'seeds' if seeds else 'runs'}", config["logs"]
    jobs = over_seeds(jobs, options.seeds, options.split_seeds)
    name = options.study or name
    folder = open_folder(logs, name, options.resume)
    save_command(folder, args)
    outcomes = run_jobs(jobs, resolver, name, folder, options.jobs)
    runs = [run for run in outcomes if run is not None]
    failed += dict.fromkeys(job.path for job, run in zip(jobs, outcomes, strict=True) if run is None)
    if runs:
        values = [job.values for job, run in zip(jobs, outcomes, strict=True) if run is not None]
        print("\n" + table_of(runs, values).text(), flush=True)
        entries = entries_of_jobs(jobs, outcomes)
        again = shell_command("study", "--resume", str(folder))
        path, _ = write_page(folder, name, again, entries, tested=entries if seeds else ())
        spreads = spreads_of(groups_of(entries)) if seeds else []
        print(*spreads, f"{quoted(path)}: open it in a browser", sep="\n", flush=True)
    if failed:
        print(f"failed: {shlex.join(map(str, failed))}", file=sys.stderr)
    if options.compare and len(runs) > 1:
        _compare(runs, Path(options.compare))
    return 1 if failed else 0


def _list_name(paths: Sequence[str]) -> str:
    return Path(paths[0]).stem if len(paths) == 1 else "runs"


def _value_of(flag: str, words: Sequence[str]) -> str | None:
    """Return the value of a flag among the words of a command line, the last one if it is repeated."""
    value = None
    for word, following in zip(words, [*words[1:], None], strict=True):
        if word == flag:
            value = following
        elif word.startswith(f"{flag}="):
            value = word.partition("=")[2]
    return value


def _compare(runs: Sequence[Run], output: Path) -> None:
    from fmnist.evaluation.comparison import write_comparison

    root = runs[0].config["data"]["root"]
    _, lines = write_comparison([run.path for run in runs], output, root)
    print(*lines, f"{quoted(output / 'compare.html')}: {counted(len(runs), 'run')}", sep="\n")


def _search(options: argparse.Namespace, flags: list[str], args: Sequence[str], resolver: Resolver) -> int:
    """Search for good settings, and finish with them if that is asked for."""
    try:
        from optuna.exceptions import StorageInternalError

        from fmnist.studies.search import Plan, Search, open_study
    except ImportError as error:
        raise InputError(
            f"--search: needs {error.name}, which is not installed: pip install -e '.[study]'"
        ) from None
    job = job_of(options.config, flags)
    space = read_space(options.search)
    base = resolver.resolve(job.command)
    _check_metric(options.metric, base)
    name = options.study or f"{base.config['name']}-search"
    folder = open_folder(base.config["logs"], name, options.resume)
    if not (folder / RECORD).exists():
        check_space(options.search, space, job, resolver)
    trainer = base.config.get("trainer") or {}
    epochs = None if "estimator" in base.config else trainer.get("max_epochs")
    if epochs is not None and epochs < 1:  # without a limit: the last epoch is not known
        epochs = None
    plan = Plan(
        folder=folder,
        name=name,
        job=job,
        run_name=base.config["name"],
        parameters=space,
        metric=options.metric,
        trials=options.trials,
        seed=options.sampler_seed,
        prune=options.prune,
        epochs=epochs,
        asked=_asked(options, space, base),
        storage=options.storage,
    )
    study, storage = open_study(plan)
    save_command(folder, args)
    resolver.close()
    search = Search(plan, study, storage, options.jobs)
    try:
        search.run()
    except StorageInternalError as error:
        raise InputError(f"--storage: was lost ({one_line(error)}); the same command goes on") from None
    except (KeyboardInterrupt, SystemExit):
        print(f"\nto continue: {shell_command('study', '--resume', str(folder))}", file=sys.stderr)
        _write_search_page(plan, study)
        raise
    _write_search_page(plan, study)
    if search.has_given_up:
        print(
            f"stopped: {len(search.last_reasons)} trials failed in a row: {search.last_reasons[-1]}",
            file=sys.stderr,
        )
        return 1
    if options.finish and not finish_search(plan, study, options.finish, resolver, options.jobs):
        return 1
    return 0


def finish_search(plan: Any, study: Any, seeds: int, resolver: Resolver, parallel: int) -> bool:
    """Train and test the best setting over seeds, and print what it is worth; return whether that worked."""
    from optuna.trial import TrialState

    from fmnist.studies.finish import finish

    if study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        print(
            "--finish: other processes still run trials; repeat the command when they are done",
            file=sys.stderr,
        )
        return False
    if not study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        print("--finish: no trial is finished", file=sys.stderr)
        return False
    finished = finish(plan, study, seeds, resolver, parallel)
    if finished is None:
        print("--finish: a run failed; the same command goes on from here", file=sys.stderr)
        return False
    print("", *finished.sentences, sep="\n")
    _write_search_page(plan, study)
    return True


def _write_search_page(plan: Any, study: Any) -> None:
    from fmnist.studies.searched import entries_of_trials, importance
    from fmnist.studies.study_page import Searched, write_page

    finished = read_outcome(plan.folder)
    tested = (
        {} if finished is None else {f"trial {finished.trial}": finished.best, "default": finished.default}
    )
    path, _ = write_page(
        plan.folder,
        plan.name,
        shell_command("study", "--resume", str(plan.folder)),
        entries_of_trials(plan, study),
        Searched(plan.metric, plan.direction == "maximize", importance(study)),
        entries_of_runs(tested),
        finished.sentences if finished else (),
        f"{COMPARISON}/compare.html" if finished else None,
    )
    print(f"{quoted(path)}: open it in a browser")


def _check_metric(metric: str, base: Resolved) -> None:
    """Refuse a metric that is not of validation, or that the runs will not have."""
    if metric.startswith("test/"):
        raise InputError(f"--metric {metric}: a search must not see the test set; take a metric of val/")
    if metric not in base.metrics:
        raise InputError(f"--metric {metric}: must be one of {', '.join(base.metrics)}")
    if not base.config["data"]["val_size"]:
        raise InputError("--data.val_size 0: a search needs validation images")


def _asked(options: argparse.Namespace, space: Sequence[Parameter], base: Resolved) -> dict[str, Any]:
    """Return what makes a study this one: what decides about the values and results of its trials."""
    settings = {key: value for key, value in settings_of(base.config).items() if key != "trainer.precision"}
    search = {
        parameter.flag: {key: value for key, value in vars(parameter).items() if key != "flag" and value}
        for parameter in space
    }
    asked = {f"--{k.replace('.init_args', '')}": v for k, v in settings.items() if v is not None}
    asked |= {"--metric": options.metric, "--sampler-seed": options.sampler_seed, "--prune": options.prune}
    return _as_json(asked | {"--search": search})


def _as_json(value: Any) -> Any:
    """Return a value as it comes back from a storage: lists in place of tuples."""
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, list | tuple) else value


def check_space(path: str, space: Sequence[Parameter], job: Job, resolver: Resolver) -> None:
    """Try every choice and both ends of each range on the script that is going to take them.

    Raises:
        InputError: It refuses one; the flag is named.
    """
    by_flag = {parameter.flag: parameter for parameter in space}
    for parameter in space:
        for value in parameter.extremes:
            values = {parameter.flag: value}
            pending = [parameter]
            while pending:
                for flag, allowed in pending.pop().condition.items():
                    values = {flag: allowed[0], **values}
                    pending.append(by_flag[flag])
            try:
                resolver.resolve([*job.command, *as_flags(values)])
            except InputError as error:
                raise InputError(f"--search {path}: {error}") from None
