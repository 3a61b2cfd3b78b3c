"""What tests ask of the machine: a free port, a process's children, signals that a shell has switched off."""

import contextlib
import random
import signal
import socket

import psutil

PORTS = range(20_000, 30_000)
"""Below those that the system gives to connections, one of which could take a port before its server does."""


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    while True:
        port = random.SystemRandom().choice(PORTS)  # no seed of the tests': workers must not agree
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def heed_signals() -> None:
    """Undo, in a new process, what a background shell or ``nohup`` has let the tests ignore."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def children(parent: int) -> list[psutil.Process]:
    """Return the running processes that a process has started."""
    found = []
    for child in psutil.Process(parent).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found


def kill_children(parent: int) -> int:
    """Kill the processes that a process has started; return how many were there."""
    killed = 0
    for child in children(parent):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
            killed += 1
    return killed
