"""Signals outside training end it where it is; in training the first waits, the second does not."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from fmnist.training.callbacks import Ending
from fmnist.training.checkpoints import LastCheckpoint
from fmnist.training.signals import StopConsensus, StopSignals
from tests.faults import processes


@pytest.fixture
def stops() -> Iterator[StopSignals]:
    with StopSignals() as entered:
        yield entered


@pytest.mark.parametrize(
    ("number", "at_once", "later"),
    [
        (signal.SIGTERM, SystemExit, SIGTERMException),
        (signal.SIGHUP, SystemExit, SIGTERMException),
        (signal.SIGINT, KeyboardInterrupt, KeyboardInterrupt),
    ],
)
def test_a_signal_ends_at_once_or_in_training_after_a_step(
    stops: StopSignals,
    number: signal.Signals,
    at_once: type[BaseException],
    later: type[BaseException],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(at_once) as caught:
        os.kill(os.getpid(), number)
    assert getattr(caught.value, "code", 143) == 143
    assert stops.received == 0
    stops.defer_signals()
    os.kill(os.getpid(), number)
    assert stops.received == number
    assert "stopping soon, after a step" in capsys.readouterr().err
    with pytest.raises(later):
        stops.stop(stops.received)


def send_twice(number: int) -> None:
    try:
        with StopSignals() as stops:
            stops.defer_signals()
            for _ in range(2):
                os.kill(os.getpid(), number)
            time.sleep(30)
    finally:
        print("not at once", flush=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_ends_the_process_at_once(tmp_path: Path, number: signal.Signals) -> None:
    log = tmp_path / "log"
    assert processes.run(log, send_twice, number) == 128 + number
    said = log.read_text()
    assert said.count("stopping soon, after a step") == 1
    assert "not at once" not in said


@pytest.mark.parametrize("first", [signal.SIGHUP, signal.SIGINT])
def test_a_closed_terminal_does_not_end_at_once_what_stops_already(
    stops: StopSignals, first: signal.Signals
) -> None:
    stops.defer_signals()
    for number in (first, signal.SIGHUP, signal.SIGHUP):
        os.kill(os.getpid(), number)
    assert stops.received == first


def test_nohup_is_respected() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopSignals() as stops:
        stops.defer_signals()
        os.kill(os.getpid(), signal.SIGHUP)
    assert stops.received == 0
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


class Processes:
    """A trainer of two processes, the other of which wants ``other`` and takes ``seconds`` for a step."""

    world_size = 2
    root_device = "cpu"
    current_epoch = 0

    def __init__(self, seconds: float) -> None:
        self.strategy, self.seconds, self.other, self.rounds = self, seconds, 0, 0

    def reduce(self, here: torch.Tensor, reduce_op: str) -> torch.Tensor:
        self.rounds += 1
        return torch.maximum(here, torch.tensor([self.other, self.seconds * self.steps]))

    def ask(self, agreement: StopConsensus, steps: int, now: bool = False) -> list[int]:
        answers = []
        for _ in range(steps):
            self.steps = agreement._steps + 1
            answers.append(agreement.largest(0, self, now))  # type: ignore[arg-type]
        return answers


@pytest.mark.parametrize(("seconds", "interval"), [(2.0, 1), (0.4, 2), (0.099, 10), (0.001, 100)])
def test_processes_ask_each_other_about_once_a_second(seconds: float, interval: int) -> None:
    trainer, agreement = Processes(seconds), StopConsensus()
    trainer.ask(agreement, 300)
    trainer.ask(agreement, 1, now=True)
    trainer.rounds, trainer.other = 0, 15
    assert trainer.ask(agreement, interval) == [*[0] * (interval - 1), 15]
    trainer.ask(agreement, 9 * interval)
    assert trainer.rounds == 10


def test_a_quick_first_step_is_no_measure() -> None:
    trainer, agreement = Processes(0.0001), StopConsensus()
    trainer.ask(agreement, 1)
    trainer.other = 15
    assert trainer.ask(agreement, 2) == [0, 15]
    trainer.ask(agreement, 200)
    assert trainer.ask(agreement, 1) == [0]
    assert trainer.ask(agreement, 1, now=True) == [15]  # the end of an epoch does not wait


@pytest.mark.parametrize("place", ["on_train_epoch_start", "on_validation_end"])
def test_after_quick_validation_batches_training_asks_anew(stops: StopSignals, place: str) -> None:
    trainer, last = Processes(0.001), LastCheckpoint(10, stops, Ending())
    trainer.ask(last._consensus, 300)
    getattr(last, place)(trainer, None)
    trainer.other = 15
    assert trainer.ask(last._consensus, 1) == [15]
