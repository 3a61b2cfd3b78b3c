"""SIGTERM, Ctrl-C, SLURM's signal: a wish, granted at the end of a step, and an order when it comes twice."""

import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, NoReturn

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from fmnist.core.errors import SIGTERM_STATUS
from fmnist.training.requeue import Requeue

ASK_EVERY, MOST_STEPS = 1.0, 100  # seconds, and steps at most, between two rounds through all processes


class Agreement:
    """Lets several processes agree on what to do after a step, without asking each other after each.

    To ask costs a round through all of them and, on GPUs, waits for the device; so they do it about once a
    second. When is counted in steps and follows from figures that all have seen, so they do it together.
    """

    def __init__(self) -> None:
        self._interval, self._steps, self._asked = 1, 0, time.monotonic()

    def largest(self, wish: int, trainer: Trainer, now: bool) -> int:
        """Return the largest wish of all processes, or 0 until it is time to ask; ``now`` asks at once."""
        if trainer.world_size == 1:
            return wish
        self._steps += 1
        if self._steps < self._interval and not now:
            return 0
        here = torch.tensor([wish, time.monotonic() - self._asked], device=trainer.strategy.root_device)
        everywhere: Any = trainer.strategy.reduce(here, reduce_op="max")
        largest, seconds = everywhere.tolist()
        in_time = int(self._steps * ASK_EVERY / max(seconds, 1e-6))
        # not at once, as the first steps are no measure
        self._interval = max(1, min(in_time, 2 * self._interval, MOST_STEPS))
        self._steps, self._asked = 0, time.monotonic()
        return int(largest)


class StopSignals:
    """Takes SIGTERM, Ctrl-C and the signal of ``requeue`` while it is entered.

    Outside training they end the program where it is. In training, after ``be_patient``, the first is
    kept in ``received`` for the training to see; the second ends the process at once.

    Attributes:
        received: The number of the signal, or 0.
        requeue: What SLURM's signal asks for, should there be one.
    """

    def __init__(self) -> None:
        self.received = 0
        self.requeue: Requeue | None = None
        self._patient = self._leaving = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            slurms = {self.requeue.signal} if self.requeue else set()
            for number in {signal.SIGTERM, signal.SIGINT} | slurms:
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def be_patient(self) -> None:
        """Let the first signal wait for a step's end, in the place of Lightning's own handlers."""
        self._patient = True
        for number in self._before:
            signal.signal(number, self._receive)

    def be_prompt(self) -> None:
        """Let a signal end the program where it is."""
        self._patient = False

    def ask_for_requeue(self, number: int) -> None:
        """Ask SLURM to queue the job again if that is the wish; the signals that follow are its answer."""
        if self.requeue and number == self.requeue.signal:
            self._leaving = True
            self.requeue.ask()

    def stop(self, number: int) -> NoReturn:
        """End training as a signal asks.

        Raises:
            SIGTERMException: Or ``KeyboardInterrupt``, by the signal.
        """
        self.be_prompt()
        raise KeyboardInterrupt if number == signal.SIGINT else SIGTERMException

    def _receive(self, number: int, frame: FrameType | None) -> None:
        slurms = self.requeue if self.requeue and number == self.requeue.signal else None
        if self._leaving or (slurms and self.received):
            return  # SLURM means it only once
        if self._patient and not self.received:
            self.received = number
            print("stopping soon, after a step; a second signal stops at once", file=sys.stderr, flush=True)
        elif self._patient:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        elif slurms is None or slurms.is_main:  # SLURM ends the other processes when this one has asked
            self.ask_for_requeue(number)
            sys.exit(SIGTERM_STATUS)
