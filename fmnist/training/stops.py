"""SIGTERM and Ctrl-C: a wish that training grants at its next step, and an order when they come twice."""

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, NoReturn

from lightning.pytorch.utilities.exceptions import SIGTERMException

from fmnist.errors import SIGTERM_STATUS


class StopSignals:
    """Takes SIGTERM and Ctrl-C while it is entered.

    Outside training both end the program where it is. In training, after ``be_patient``, the first is
    kept in ``received`` for the training to see; the second ends the process at once.

    Attributes:
        received: The number of the signal, or 0.
    """

    def __init__(self) -> None:
        self.received = 0
        self._patient = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
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

    def stop(self, number: int) -> NoReturn:
        """End training as a signal asks.

        Raises:
            SIGTERMException: Or ``KeyboardInterrupt``, by the signal.
        """
        self.be_prompt()
        raise KeyboardInterrupt if number == signal.SIGINT else SIGTERMException

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._patient and not self.received:
            self.received = number
            print("stopping after this step; a second signal stops at once", file=sys.stderr, flush=True)
        elif self._patient:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
        else:
            sys.exit(SIGTERM_STATUS)
