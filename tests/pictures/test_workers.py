"""Processes for pictures are as many as may run, have one thread each, and leave Ctrl-C alone."""

import os
import signal
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from fmnist.pictures.workers import cores, picture_workers


def condition(_: int) -> tuple[bool, list[int]]:
    """Return whether a process ignores Ctrl-C, and the threads of its libraries."""
    np.ones((2, 2)) @ np.ones((2, 2))
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN, [
        library["num_threads"] for library in threadpool_info()
    ]


def test_a_process_has_one_thread_and_is_deaf_to_ctrl_c() -> None:
    with picture_workers(1) as workers:
        deaf, threads = next(iter(workers.map(condition, [0])))
    assert deaf
    assert threads
    assert set(threads) == {1}


def test_cores_that_others_were_given_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def allotted(_: Any) -> set[int]:
        return {3, 5, 7}

    monkeypatch.setattr(os, "sched_getaffinity", allotted, raising=False)
    assert cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1
