"""Processes that prepare pictures, for whoever has many of them."""

import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor

from threadpoolctl import threadpool_limits


def picture_workers(processes: int | None = None) -> ProcessPoolExecutor:
    """Return processes of one thread each, by default as many as there are cores for this program.

    They are spawned, because forking a process that runs torch can hang, and leave Ctrl-C to the process
    that began them.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes or cores(), context, initializer=_begin)


def cores() -> int:
    """Return how many cores this program may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)  # they share the cores as it is; more threads would wait for each other
