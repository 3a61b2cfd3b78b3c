"""Run many trainings as one study: over seeds or folds, of a list, or in search of good settings."""

import argparse
import itertools
import sys
from collections.abc import Sequence

from fmnist.core.commands import shell_command
from fmnist.core.errors import InputError, exits_cleanly

DESCRIPTION = """\
Run many trainings as one study, networks and baselines alike, each in a process and run folder of its own.
What is finished is not run again, and what was interrupted continues from its checkpoint: repeat the same
command, or name the study's folder by --resume. There are four ways to say which runs:

  study.py PATH ...                      the command in the first line of each YAML file or folder of them;
                                         those made of other runs, by blend or embedding, come last
  study.py --config FILE --seeds N       the same configuration with the seeds 0 to N-1; goes with PATH, too
  study.py --config FILE --folds N       N-fold cross-validation: each training image is validated on once
  study.py --config FILE --search FILE   a search by Optuna: configs/search/ holds examples
"""
EPILOG = """\
Any other flag is passed to every run, for example --logs, --data.root or --data.train_size 5000.
The study's folder LOGS/studies/NAME holds study.html; of folds also out_of_fold.npz, the predictions of all
training images, each by the run that was not trained on it; of a search its trials and their run folders.
A search never reads the test set. Trials that fail are recorded with the reason; three in a row end it.
The exit status is 1 if a run of a list, or a search, failed.
"""


def positive(text: str) -> int:
    """Read a flag that counts something."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number, 1 or more")
    return int(text)


@exits_cleanly
def main(args: Sequence[str] | None = None) -> None:
    """Run a study as the command line says; exit status 1 if a run of it failed."""
    args = list(sys.argv[1:] if args is None else args)
    parser, search_flags = _parser()
    options, rest = parser.parse_known_args(args)
    if (resumed := options.resume) is not None:
        from fmnist.studies.folder import arguments_of

        place = next(i for i, word in enumerate(args) if word.partition("=")[0] == "--resume")
        args = [*args[:place], *args[place + (1 if "=" in args[place] else 2) :]]
        args = [*arguments_of(resumed, args), *args]
        options, rest = parser.parse_known_args(args)
        options.resume = resumed
    for flag in search_flags:
        if not options.search and getattr(options, flag.dest) != flag.default:
            raise InputError(f"{flag.option_strings[0]}: goes with --search FILE")
    paths = list(itertools.takewhile(lambda word: not word.startswith("--"), rest))

    from fmnist.studies.command import run

    sys.exit(run(options, paths, rest[len(paths) :], args))


def _parser() -> tuple[argparse.ArgumentParser, list[argparse.Action]]:
    """Return the parser, and the flags that go with ``--search`` alone."""
    parser = argparse.ArgumentParser(
        prog=shell_command("study"),
        usage="%(prog)s [PATH ...] [--config FILE] [--seeds N | --folds N | --search FILE] [--KEY VALUE ...]",
        description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )  # fmt: skip
    add = parser.add_argument
    add("--config", action="append", default=[], metavar="FILE", help="what all runs have in common; stacks")
    add("--study", metavar="NAME", help="name of the study (default: by configuration and kind)")
    add("--resume", metavar="FOLDER", help="go on with the study in this folder")
    add("--jobs", type=positive, default=1, metavar="N", help="runs at the same time (default: 1)")
    add("--seeds", type=positive, metavar="N", help="run each configuration with the seeds 0 to N-1")
    add("--split-seeds", type=positive, metavar="N", help="likewise with N choices of validation images")
    add("--folds", type=positive, metavar="N", help="N-fold cross-validation of the configuration")
    add("--compare", metavar="DIR", help="write the page of scripts/compare.py into DIR, except of a search")
    search = parser.add_argument_group("search")
    add = search.add_argument
    add("--search", metavar="FILE", help="YAML of ranges and choices by flag")
    return parser, [
        add("--trials", type=positive, default=20, metavar="N",
            help="trials in the end (default: %(default)s)"),
        add("--metric", default="val/accuracy", metavar="NAME",
            help="what is searched for (default: %(default)s)"),
        add("--prune", choices=("median", "hyperband", "none"), default="median",
            help="rule that ends trials of networks early (default: %(default)s)"),
        add("--sampler-seed", type=int, default=0, metavar="N", help="seed of the values tried (default: 0)"),
        add("--storage", metavar="URL", help="database; several machines may share it by the same command"),
        add("--finish", type=positive, metavar="N",
            help="then train and test the best setting with N seeds; compare it with the default"),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
