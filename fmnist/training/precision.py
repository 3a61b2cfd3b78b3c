"""The fastest arithmetic that is right on this machine."""

import time

import torch
from torch import Tensor, nn

LARGEST_ERROR = 0.02  # relative to float32; bfloat16 has 8 bits of mantissa, so 0.003 is usual


def choose_precision(accelerator: str) -> tuple[str, str]:
    """Choose Lightning's ``precision`` for an accelerator.

    bfloat16 convolutions of one input channel have been wrong in some builds, and are slow on
    processors without instructions for them; so on CPU both are tried.

    Args:
        accelerator: Lightning's name: ``cpu``, ``cuda`` or ``mps``.

    Returns:
        ``"bf16-mixed"`` or ``"32-true"``, and the reason in a few words.
    """
    if accelerator == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16-mixed", "the GPU has bfloat16"
        return "32-true", "the GPU has no bfloat16"
    if accelerator != "cpu":
        return "32-true", "the default there"
    error = bf16_error()
    if not error <= LARGEST_ERROR:  # or not a number
        return "32-true", f"bfloat16 is wrong here, relative error {error:.2g}"
    speedup = bf16_speedup()
    if speedup < 1.1:
        return "32-true", "bfloat16 is not faster here"
    return "bf16-mixed", f"bfloat16 is {speedup:.1f} times as fast here"


def bf16_error() -> float:
    """Return the relative error of a one-channel bfloat16 convolution and its weight gradient on CPU."""
    images = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    convolution = _convolution(1, 16)

    def run(bf16: bool) -> Tensor:
        convolution.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = convolution(images)
        output.float().square().mean().backward()
        assert convolution.weight.grad is not None
        return torch.cat([output.detach().float().flatten(), convolution.weight.grad.flatten()])

    expected, found = run(False), run(True)
    return float((found - expected).norm() / expected.norm())


def bf16_speedup(repetitions: int = 8) -> float:
    """Return how many times as fast a bfloat16 convolution of 64 channels is as a float32 one on CPU.

    The two take turns and the fastest of each counts, so that other work on the machine hardly matters.
    """
    convolution = _convolution(64, 64)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(32, 64, 14, 14, generator=generator)
    images = images.contiguous(memory_format=torch.channels_last).requires_grad_()

    def seconds(bf16: bool) -> float:
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            convolution(images).sum().backward()
        return time.perf_counter() - start

    threads = torch.get_num_threads()
    torch.set_num_threads(
        1
    )  # threads that wait for each other on a busy machine would be all that is measured
    times = [(seconds(False), seconds(True)) for _ in range(repetitions)]
    torch.set_num_threads(threads)
    return min(time[0] for time in times) / min(time[1] for time in times)


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    with torch.random.fork_rng(devices=[]):  # the check must not move the run's random state
        torch.manual_seed(0)
        return nn.Conv2d(inputs, outputs, 3, padding=1).to(memory_format=torch.channels_last)
