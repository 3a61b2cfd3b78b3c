"""The threads of a training sleep while they wait, as long as other programs need the cores."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import psutil
import pytest
import torch

from fmnist.training import threads


@pytest.fixture
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    for name in threads.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "INTERVAL", 0.02)
    monkeypatch.setattr(psutil, "cpu_count", lambda: 2)
    yield
    torch.set_num_threads(before)


def _in_time(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 240
    while time.monotonic() < end and not condition():
        time.sleep(0.02)
    return condition()


def _running() -> set[str]:
    """Return the names of the module's threads that run."""
    return {threads.WATCHER, threads.IDLE} & {thread.name for thread in threading.enumerate()}


def _ids() -> set[int]:
    """Return the threads of this process, whoever started them."""
    return {thread.id for thread in psutil.Process().threads()}


@pytest.mark.usefixtures("two_threads")
def test_threads_are_held_while_others_need_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.zeros(1_000_000).add_(1)
    load = {"cores": 0.0}
    monkeypatch.setattr(threads, "_seconds_of_others", lambda: load["cores"] * time.perf_counter())
    alone = _ids()
    with threads.yields_cores():
        assert _running() == {threads.WATCHER}
        for _ in range(2):
            before = _ids()
            load["cores"] = 1.0
            assert _in_time(lambda: threads.IDLE in _running())
            assert _in_time(lambda before=before: len(_ids() - before) >= 2)  # a team of two
            load["cores"] = 0.1
            assert _in_time(lambda: _running() == {threads.WATCHER})
            assert _in_time(lambda before=before: not _ids() - before)
        load["cores"] = 1.0
    assert not _running()
    assert _in_time(lambda: not _ids() - alone)


def test_other_processes_are_counted_and_this_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    own = SimpleNamespace(user=3.0, system=0.5)
    system = SimpleNamespace(user=10.0, nice=2.0, system=1.5, idle=100.0, iowait=50.0)
    monkeypatch.setattr(os, "times", lambda: own)
    monkeypatch.setattr(psutil, "cpu_times", lambda: system)
    assert threads._seconds_of_others() == 10.0


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", threads.SETTINGS)
def test_a_setting_of_the_user_wins(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert threads.yields()
    monkeypatch.setenv(name, "1")
    assert not threads.yields()
    with threads.yields_cores():
        assert not _running()


def test_one_thread_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert not threads.yields()
