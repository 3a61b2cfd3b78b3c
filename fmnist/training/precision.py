"""Choice of the arithmetic: bfloat16 where the hardware has instructions for it, else float32."""

import torch
from torch import Tensor, nn

LARGEST_ERROR = 0.02  # relative to float32; bfloat16 has 8 bits of mantissa, so 0.003 is usual
BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")
"""PyTorch's names for them: x86 (AVX-512 BF16, AMX) and Arm. Plain AVX-512 emulates bfloat16, slower than
float32 on the Xeon on which it was measured."""


def choose_precision(accelerator: str) -> tuple[str, str]:
    """Choose ``bf16-mixed`` or ``32-true`` for ``cpu``, ``cuda`` or ``mps``, always alike on one machine.

    The second value is the reason in a few words.
    """
    if accelerator == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16-mixed", "the GPU has bfloat16 instructions"
        return "32-true", "the GPU has no bfloat16 instructions"
    if accelerator != "cpu":
        return "32-true", f"bfloat16 is not used on {accelerator}"
    if not hasattr(torch.cpu, "get_capabilities"):
        return "32-true", "this PyTorch does not tell whether the processor has bfloat16 instructions"
    capabilities = torch.cpu.get_capabilities()
    if not any(capabilities.get(name) for name in BF16_INSTRUCTIONS):
        return "32-true", "the processor has no bfloat16 instructions"
    if not torch.backends.mkldnn.is_available():
        return "32-true", "this PyTorch is built without oneDNN, which has the bfloat16 kernels"
    error = bf16_error()
    if not error <= LARGEST_ERROR:  # or not a number
        return "32-true", f"bfloat16 convolutions are wrong here, relative error {error:.2g}"
    return "bf16-mixed", "the processor has bfloat16 instructions"


def bf16_error() -> float:
    """Return the relative error of a one-channel bfloat16 convolution and its weight gradient on CPU.

    Such convolutions have been wrong in some builds of PyTorch.
    """
    images = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng(devices=[]):  # the check must not change the run's random numbers
        torch.manual_seed(0)
        convolution = nn.Conv2d(1, 16, 3, padding=1).to(memory_format=torch.channels_last)

    def output_and_gradient(bf16: bool) -> Tensor:
        convolution.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = convolution(images)
        output.float().square().mean().backward()
        assert convolution.weight.grad is not None
        return torch.cat([output.detach().float().flatten(), convolution.weight.grad.flatten()])

    expected, actual = output_and_gradient(False), output_and_gradient(True)
    return float((actual - expected).norm() / expected.norm())
