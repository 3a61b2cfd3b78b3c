"""Which arithmetic is chosen, by what the hardware can do, and that the check of it is right."""

import signal
from collections.abc import Callable
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
import torch

from fmnist.core.runs import Run
from fmnist.training import command_line, outputs, precision
from fmnist.training.precision import LARGEST_ERROR, bf16_error, choose_precision
from fmnist.training.train import main
from tests.training.folder import checkpoint, equal

WRITE_TENSORBOARD = outputs.write_tensorboard


def processor(monkeypatch: pytest.MonkeyPatch, **capabilities: Any) -> None:
    mapping = MappingProxyType({"architecture": "x86_64", **capabilities})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: mapping, raising=False)


@pytest.mark.parametrize(
    ("capabilities", "error", "expected", "reason"),
    [
        ({"avx512_f": True, "avx512_bf16": True}, 0.003, "bf16-mixed", "has bfloat16 instructions"),
        ({"architecture": "aarch64", "bf16": True}, 0.003, "bf16-mixed", "has bfloat16 instructions"),
        ({"avx512_f": True, "avx512_bf16": False}, 0.003, "32-true", "has no bfloat16 instructions"),
        ({"avx512_bf16": True}, 0.5, "32-true", "wrong here, relative error 0.5"),
        ({"avx512_bf16": True}, float("nan"), "32-true", "wrong here"),
    ],
)
def test_on_cpu_there_must_be_instructions_that_are_right(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, Any], error: float, expected: str, reason: str
) -> None:
    processor(monkeypatch, **capabilities)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(precision, "bf16_error", lambda: error)
    chosen, why = choose_precision("cpu")
    assert chosen == expected
    assert reason in why


def test_on_cpu_the_build_must_use_them(monkeypatch: pytest.MonkeyPatch) -> None:
    processor(monkeypatch, avx512_bf16=True)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert choose_precision("cpu")[0] == "32-true"
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert choose_precision("cpu")[0] == "32-true"


@pytest.mark.parametrize(("supported", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_on_a_gpu_it_must_be_native(monkeypatch: pytest.MonkeyPatch, supported: bool, expected: str) -> None:
    def native(including_emulation: bool = True) -> bool:
        return supported or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", native)
    assert choose_precision("cuda")[0] == expected
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


def test_the_check_leaves_the_random_state_alone() -> None:
    state = torch.get_rng_state()
    bf16_error()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("asked", "used", "dtype", "ema"),
    [
        ("64-true", "64-true", torch.float64, "null"),
        ("64-true", "64-true", torch.float64, "0.9"),
        ("16-true", "16-true", torch.float16, "null"),
        ("16-true", "16-true", torch.float16, "0.9"),
        ("16-mixed", "bf16-mixed", torch.float32, "0.9"),  # on the CPU
        ("bf16", "bf16-mixed", torch.float32, "null"),
    ],
)
def test_every_precision_trains_to_the_end_and_is_resumed(
    train: Callable[..., Run],
    interrupted: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    asked: str,
    used: str,
    dtype: torch.dtype,
    ema: str,
) -> None:
    flags = ["--trainer.precision", asked, "--ema", ema, "--data.augmentation.mixup", "0.5"]
    with monkeypatch.context() as patch:
        patch.setattr(outputs, "write_tensorboard", WRITE_TENSORBOARD)  # which the fixture leaves out
        whole = train(*flags, "--model.optimizer", "adamw")
    assert (whole.status, whole.record["precision"]) == ("finished", used)
    assert whole.record["metrics"]["test"]["loss"] < 2.4  # it has learned, or at least unlearned nothing
    state = torch.load(whole.path / "checkpoints" / "last.ckpt", weights_only=True)
    weight = "network.head.weight"
    assert state["current_model_state" if ema != "null" else "state_dict"][weight].dtype == dtype
    average = torch.promote_types(dtype, torch.float32)  # 16 bits would lose the small updates
    assert state["state_dict"][weight].dtype == (average if ema != "null" else dtype)
    cut = interrupted("training_step", 7, signal.SIGTERM, *flags, "--model.optimizer", "adamw")
    main(["--resume", str(cut.path)])
    for name in ("best", "last"):
        assert equal(checkpoint(Run(cut.path), name), checkpoint(whole, name))


@pytest.mark.parametrize(
    ("accelerator", "device"),
    [
        ("cpu", "cpu"),
        ("CPUAccelerator", "cpu"),
        ("cuda", "cuda"),
        ("CUDAAccelerator", "cuda"),
        ("tpu", "tpu"),
    ],
)
def test_an_accelerator_may_be_named_by_its_class(accelerator: str, device: str) -> None:
    assert command_line.device_type(SimpleNamespace(accelerator=accelerator)) == device
