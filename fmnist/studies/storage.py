"""Where a search keeps its trials: a journal file in its folder, or a database that machines share."""

import contextlib
import hashlib
import time
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from fmnist.core.errors import InputError, one_line, quoted
from fmnist.studies.folder import without_password
from fmnist.studies.processes import locked

JOURNAL = "journal.log"
CREATION_ATTEMPTS = 5
optuna.logging.set_verbosity(optuna.logging.WARNING)


class _FlockOfJournal:
    """The journal's lock, which ends with its process; Optuna's own outlives one that is killed."""

    def __init__(self, path: Path) -> None:
        self._path, self._held = path, contextlib.ExitStack()

    def acquire(self) -> bool:
        self._held.enter_context(locked(self._path, wait=True))
        return True

    def release(self) -> None:
        self._held.close()


def open_journal(folder: Path) -> BaseStorage:
    """Open the journal file in the folder of a study, or create it.

    Raises:
        InputError: It is damaged.
    """
    path = folder / JOURNAL
    _cut_torn_line(path)
    journal_lock: Any = _FlockOfJournal(folder / ".journal.lock")
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=journal_lock))
    except (ValueError, KeyError) as error:
        raise InputError(f"{quoted(path)}: is damaged ({one_line(error)})") from None


def open_database(url: str) -> BaseStorage:
    """Open the database at an SQLAlchemy URL, or create what is missing there.

    Raises:
        InputError: It cannot be reached.
    """
    from sqlalchemy.exc import SQLAlchemyError

    shown = without_password(url)
    try:
        return _database(url)
    except (SQLAlchemyError, ImportError, ValueError, RuntimeError, OSError) as error:
        reason = one_line(error).partition(" (Background on this error")[0].replace(url, shown)
        raise InputError(f"--storage {shown}: cannot be reached ({reason})") from None


def _database(url: str) -> RDBStorage:
    """Open a database; of two processes that create its tables at the same time, one has to try again."""
    from sqlalchemy.exc import DBAPIError

    for _ in range(CREATION_ATTEMPTS):
        try:
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except DBAPIError as error:
            if not any(word in str(error) for word in ("exist", "duplicate", "Duplicate", "locked")):
                raise
            time.sleep(1)
    return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})


def _cut_torn_line(path: Path) -> None:
    """Remove what a crash of the machine left of a last line; the journal would not be read beyond it."""
    if not path.exists():
        return
    with path.open("r+b") as file, locked(path.with_name(".journal.lock"), wait=True):
        content = file.read()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            file.truncate(end)


def sampler(seed: int, number: int, flag: str = "") -> TPESampler:
    """Return the sampler of a trial, or of one of its flags; its random numbers depend on nothing else.

    So a study that was interrupted goes on with the values that it would have drawn. A flag is sampled by
    itself if it is conditional, and in the first trials.
    """
    digest = hashlib.sha256(f"{seed} {number} {flag}".encode()).digest()
    return TPESampler(seed=int.from_bytes(digest[:4], "big"), multivariate=True)


def pruner(name: str, epochs: int | None) -> BasePruner:
    """Return the pruner ``median``, ``hyperband`` or ``none`` for trainings of this many epochs.

    Trials whose number of epochs is not known (None) are not pruned.
    """
    if name == "none" or epochs is None:
        return NopPruner()
    if name == "hyperband":
        return HyperbandPruner(min_resource=max(1, epochs // 9), max_resource=epochs)
    # the first quarter says little: the learning rate is still high
    return MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 4)
