"""How the threads of tensor operations wait while other programs need the processor cores.

Between two operations OpenMP's threads spin, which is fast while a core is free for each of them. A spinning
thread beside a busy program takes the time of the thread that it waits for: the training of LeNet-5 on two
cores kept 27 % of its speed with one busy program beside it, and keeps 60 % with threads that sleep while
they wait. On free cores sleeping loses up to a third, because it takes long to wake them. So the waiting
follows the load. The number of threads does not, because sums over other parts differ in their last bits.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator

import psutil
import torch

INTERVAL = 0.5  # seconds between two looks at the load
MARGIN = 0.3  # what the system's own processes may use, in cores
WATCHER, IDLE = "fmnist-watcher", "fmnist-idle"  # names of the threads
SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def yields() -> bool:
    """Whether :func:`yields_cores` acts: on several threads whose waiting the user has not chosen."""
    return torch.get_num_threads() > 1 and not any(name in os.environ for name in SETTINGS)


@contextlib.contextmanager
def yields_cores() -> Iterator[None]:
    """Let threads sleep while they wait, as long as other processes use their cores; change no result.

    GNU's OpenMP stops spinning while a process has more of its threads than cores (libgomp's manual,
    GOMP_SPINCOUNT). Idle threads are therefore enough to switch the waiting of the others.
    """
    if not yields():
        yield
        return
    end = threading.Event()
    arguments = end, torch.get_num_threads()
    watcher = threading.Thread(target=_watch, args=arguments, name=WATCHER, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        end.set()
        watcher.join()


def _watch(end: threading.Event, count: int) -> None:
    """Keep idle OpenMP threads as long as other processes leave fewer than ``count`` cores."""
    cores = psutil.cpu_count() or count
    teams = 1 + max(0, cores - count) // (count - 1)  # each adds count - 1 threads; all exceed the cores
    held = False
    before = time.perf_counter(), _seconds_of_others()
    with contextlib.ExitStack() as idle:
        while not end.wait(INTERVAL):
            now = time.perf_counter(), _seconds_of_others()
            used = (now[1] - before[1]) / (now[0] - before[0])
            crowded = used + count > cores + MARGIN
            if crowded and not held:
                for _ in range(teams):
                    idle.enter_context(_idle_team())
            elif held and not crowded:
                idle.close()
            before, held = now, crowded


def _seconds_of_others() -> float:
    """Return the processor time that all other processes have used, in seconds."""
    system, own = psutil.cpu_times(), os.times()
    return system.user + system.system + getattr(system, "nice", 0.0) - own.user - own.system


@contextlib.contextmanager
def _idle_team() -> Iterator[None]:
    """Keep one more team of OpenMP threads, which belongs to a thread and ends with it."""
    end = threading.Event()

    def hold() -> None:
        torch.zeros(1_000_000).add_(1)  # large enough to be shared among threads
        end.wait()

    thread = threading.Thread(target=hold, name=IDLE, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
