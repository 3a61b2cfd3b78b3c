"""Signals outside training end it where it is; in training the first waits, the second does not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from lightning.pytorch.utilities.exceptions import SIGTERMException

from fmnist.training.stops import StopSignals


@pytest.fixture
def stops() -> Iterator[StopSignals]:
    with StopSignals() as entered:
        yield entered


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_outside_training_a_signal_ends_at_once(
    stops: StopSignals, number: signal.Signals, raised: type[BaseException]
) -> None:
    with pytest.raises(raised) as caught:
        os.kill(os.getpid(), number)
    assert raised is KeyboardInterrupt or caught.value.code == 143  # type: ignore[attr-defined]
    assert stops.received == 0


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGTERM, SIGTERMException), (signal.SIGINT, KeyboardInterrupt)]
)
def test_in_training_the_first_waits(
    stops: StopSignals,
    number: signal.Signals,
    raised: type[BaseException],
    capsys: pytest.CaptureFixture[str],
) -> None:
    stops.be_patient()
    os.kill(os.getpid(), number)
    assert stops.received == number
    assert "stopping after this step" in capsys.readouterr().err
    with pytest.raises(raised):
        stops.stop(stops.received)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_ends_the_process_at_once(number: signal.Signals) -> None:
    code = (
        "import os, time\n"
        "from fmnist.training.stops import StopSignals\n"
        "with StopSignals() as stops:\n    stops.be_patient()\n"
        f"    for _ in range(2): os.kill(os.getpid(), {int(number)})\n    time.sleep(30)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == -number
    assert done.stderr.count("stopping after this step") == 1


def test_the_handlers_before_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
