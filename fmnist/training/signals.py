"""Signals that stop a training: SIGTERM, SIGHUP, Ctrl-C, and that by which SLURM announces a job's end."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from types import FrameType
from typing import Any, NoReturn

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.pytorch.utilities.exceptions import SIGTERMException

from fmnist.core.errors import HANGUP, SIGTERM_STATUS, stop_signals

SECONDS_BETWEEN_ROUNDS, MOST_STEPS_BETWEEN_ROUNDS = 1.0, 100


class Requeue:
    """Asks SLURM to queue this job again, once, and from the main process only.

    Lightning's plugin, ``SLURMEnvironment(auto_requeue, requeue_signal)``, says whether and on which
    signal. Its own reaction to that signal is replaced, because it cannot be exact: it saves from within
    the signal's handler, perhaps in the middle of a step, and then trains on; and it saves to
    ``hpc_ckpt_<n>.ckpt`` in a folder that all runs share, which Lightning later loads whenever it is given
    no checkpoint.

    Attributes:
        signal: The number of the signal that SLURM sends.
        granted: Whether SLURM was asked and agreed.
    """

    def __init__(self, environment: SLURMEnvironment) -> None:
        assert environment.requeue_signal is not None  # only on Windows
        self.signal = int(environment.requeue_signal)
        self.is_main = environment.global_rank() == 0
        self.granted = False
        self._asked = False

    def ask(self) -> None:
        """Call ``scontrol requeue`` and print its answer."""
        if not self.is_main or self._asked:
            return
        self._asked = True
        command = ["scontrol", "requeue", str(job_id())]
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            reason = getattr(error, "stderr", None) or error
            print(f"warning: {' '.join(command)}: failed ({str(reason).strip()})", file=sys.stderr)
        else:
            self.granted = True
            print(f"SLURM job {job_id()} is queued again, and then continues this run", file=sys.stderr)


def slurm_environment(plugins: Iterable[Any]) -> SLURMEnvironment | None:
    """Return the SLURM plugin that a ``Trainer`` with these plugins uses, or None.

    The choice is Lightning's: a cluster plugin among ``plugins``, else torchrun's environment, else SLURM's.
    """
    chosen = next((plugin for plugin in plugins if isinstance(plugin, ClusterEnvironment)), None)
    if chosen is None and not TorchElasticEnvironment.detect() and SLURMEnvironment.detect():
        chosen = SLURMEnvironment()
    return chosen if isinstance(chosen, SLURMEnvironment) else None


def job_id() -> str | None:
    """Return the SLURM job of this process as ``scontrol`` names it, ``<array>_<task>`` in an array."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ.get("SLURM_JOB_ID")


class StopSignals:
    """Handles SIGTERM, Ctrl-C, a closed terminal (SIGHUP) and SLURM's signal while it is entered.

    Outside training they end the program at once. In training, after ``defer_signals``, the first signal is
    kept in ``received`` until the end of a step; a second one ends the process at once. SIGHUP is left alone
    where ``nohup`` has it ignored.

    Attributes:
        received: The number of the deferred signal, or 0.
        requeue: What SLURM's signal asks for; None without SLURM, or where its plugin turns that off.
    """

    def __init__(self, environment: SLURMEnvironment | None = None) -> None:
        self.received = 0
        self.requeue = Requeue(environment) if environment and environment.auto_requeue else None
        self._deferring = self._leaving = False
        self._handlers_before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            slurms = {self.requeue.signal} if self.requeue else set()
            for number in {signal.SIGTERM, signal.SIGINT, *stop_signals()} | slurms:
                self._handlers_before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def defer_signals(self) -> None:
        """Keep the first signal until a step ends; replaces Lightning's own handlers."""
        self._deferring = True
        for number in self._handlers_before:
            signal.signal(number, self._receive)

    def raise_signals(self) -> None:
        """Let a signal end the program at once."""
        self._deferring = False

    def ask_for_requeue(self, number: int) -> None:
        """Ask SLURM to queue the job again if this is its signal; the signals that follow are its answer."""
        if self.requeue and number == self.requeue.signal:
            self._leaving = True
            self.requeue.ask()

    def stop(self, number: int) -> NoReturn:
        """End training for a signal.

        Raises:
            SIGTERMException: Or ``KeyboardInterrupt``, by the signal.
        """
        self.raise_signals()
        raise KeyboardInterrupt if number == signal.SIGINT else SIGTERMException

    def _receive(self, number: int, frame: FrameType | None) -> None:
        slurms = self.requeue if self.requeue and number == self.requeue.signal else None
        if self._leaving or (slurms and self.received):
            return  # SLURM repeats its signal
        if number == HANGUP and not slurms:
            signal.signal(number, signal.SIG_IGN)  # it is repeated
            if self.received:
                return
        if self._deferring and not self.received:
            self.received = number
            print("stopping soon, after a step; a second signal stops at once", file=sys.stderr, flush=True)
        elif self._deferring:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        elif slurms is None or slurms.is_main:  # SLURM ends the other processes when this one has asked
            self.ask_for_requeue(number)
            sys.exit(SIGTERM_STATUS)


class StopConsensus:
    """Lets several processes agree on what to do after a step, without communicating after each.

    A round of communication takes time and, on GPUs, waits for the device; so there is about one a second.
    When it is due is counted in steps, by a number that all processes compute alike, so that they meet.
    """

    def __init__(self) -> None:
        self._interval, self._steps, self._last_round = 1, 0, time.monotonic()

    def largest(self, request: int, trainer: Trainer, now: bool) -> int:
        """Return the largest request of all processes, or 0 until a round is due; ``now`` makes one due."""
        if trainer.world_size == 1:
            return request
        self._steps += 1
        if self._steps < self._interval and not now:
            return 0
        here = torch.tensor(
            [request, time.monotonic() - self._last_round], device=trainer.strategy.root_device
        )
        everywhere: Any = trainer.strategy.reduce(here, reduce_op="max")
        largest, seconds = everywhere.tolist()
        steps_in_time = int(self._steps * SECONDS_BETWEEN_ROUNDS / max(seconds, 1e-6))
        # at most doubled, as the first steps are no measure
        self._interval = max(1, min(steps_in_time, 2 * self._interval, MOST_STEPS_BETWEEN_ROUNDS))
        self._steps, self._last_round = 0, time.monotonic()
        return int(largest)
