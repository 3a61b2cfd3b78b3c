"""Which arithmetic is chosen, and that the check itself is right and without side effects."""

import pytest
import torch

from fmnist.training import precision
from fmnist.training.precision import LARGEST_ERROR, bf16_error, bf16_speedup, choose_precision


@pytest.mark.parametrize(
    ("error", "speedup", "expected", "reason"),
    [
        (0.003, 2.04, "bf16-mixed", "2.0 times as fast"),
        (0.003, 1.0, "32-true", "not faster"),
        (0.5, 2.0, "32-true", "wrong here, relative error 0.5"),
    ],
)
def test_on_cpu_it_must_be_right_and_faster(
    monkeypatch: pytest.MonkeyPatch, error: float, speedup: float, expected: str, reason: str
) -> None:
    monkeypatch.setattr(precision, "bf16_error", lambda: error)
    monkeypatch.setattr(precision, "bf16_speedup", lambda: speedup)
    chosen, said = choose_precision("cpu")
    assert chosen == expected
    assert reason in said


def test_a_result_that_is_not_a_number_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "bf16_error", lambda: float("nan"))
    monkeypatch.setattr(precision, "bf16_speedup", lambda: 2.0)
    assert choose_precision("cpu")[0] == "32-true"


@pytest.mark.parametrize(("supported", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_on_a_gpu_it_must_be_native(monkeypatch: pytest.MonkeyPatch, supported: bool, expected: str) -> None:
    def native(including_emulation: bool = True) -> bool:
        return supported or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", native)
    assert choose_precision("cuda")[0] == expected


def test_elsewhere_it_is_float32() -> None:
    assert choose_precision("mps")[0] == "32-true"


def test_the_error_here_is_that_of_eight_bits_of_mantissa() -> None:
    error = bf16_error()
    assert error > 1e-4  # 0 would mean that nothing ran in bfloat16
    assert error < LARGEST_ERROR or choose_precision("cpu")[0] == "32-true"


def test_a_wrong_convolution_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.nn.Conv2d.forward

    def wrong(self: torch.nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        output = original(self, images)
        return output * 1.1 if output.dtype == torch.bfloat16 else output

    monkeypatch.setattr(torch.nn.Conv2d, "forward", wrong)
    assert bf16_error() > LARGEST_ERROR


def test_speedup_is_the_ratio_of_the_fastest_times(monkeypatch: pytest.MonkeyPatch) -> None:
    # each pair of readings is one run: float32 takes 5 and 4 seconds, bfloat16 2 and 3
    clock = iter([0, 5, 10, 12, 20, 24, 30, 33])
    monkeypatch.setattr(precision.time, "perf_counter", lambda: next(clock))
    assert bf16_speedup(repetitions=2) == 4 / 2


def test_the_check_leaves_the_random_state_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    bf16_error()
    bf16_speedup(repetitions=1)
    assert torch.equal(torch.rand(1), expected)
