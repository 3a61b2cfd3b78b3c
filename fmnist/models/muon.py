"""Muon for weight matrices and convolution kernels, AdamW for everything else, in one optimiser."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adamw import adamw

_COEFFICIENTS, _STEPS = (3.4445, -4.7750, 2.0315), 5  # of the Newton-Schulz iteration
_BF16_SIDE = 256
"""Smaller side from which a matrix may be iterated in bfloat16; below, the conversions cost what it saves."""


def orthogonalize(matrices: Tensor, bf16: bool = False) -> Tensor:
    """Map each matrix of (B, M, N) to an approximation of its nearest semi-orthogonal matrix.

    Runs five steps of the quintic Newton-Schulz iteration of Jordan et al. (2024), which bring all singular
    values to roughly [0.7, 1.2]. Three would do for two epochs; the MLP and LeNet-5 lost 0.1 to 0.4 points of
    accuracy by them in 20 and more.

    Args:
        matrices: float32.
        bf16: Iterate large matrices in bfloat16.
    """
    if matrices.size(1) > matrices.size(2):
        return orthogonalize(matrices.mT, bf16).mT
    a, b, c = _COEFFICIENTS
    result = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    if bf16 and matrices.size(1) >= _BF16_SIDE:
        result = result.bfloat16()
    for _ in range(_STEPS):
        gram = result @ result.mT
        result = torch.baddbmm(result, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), result, beta=a)
    return result.to(matrices.dtype)


class Muon(Optimizer):
    """Momentum orthogonalized by Newton-Schulz (Muon), with AdamW for the parameters that are not matrices.

    A parameter group with ``use_muon=True`` (the default) is updated by Muon with Nesterov momentum:
    weights of shape (out, ...) are treated as matrices of shape (out, -1), and weights of equal shape are
    orthogonalized in one batch. A group with ``use_muon=False`` is updated by AdamW; put biases,
    normalisation parameters and the classification head there. Weight decay is decoupled in both cases.

    Reference: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024,
    https://kellerjordan.github.io/posts/muon/.

    Args:
        params: Parameters or parameter groups.
        lr: Learning rate; one step moves a weight by about ``lr`` in spectral norm.
        momentum: Momentum of the Muon groups.
        weight_decay: Decoupled weight decay (multiplied by ``lr``).
        betas: Decay rates of the two moments in the AdamW groups.
        eps: Denominator offset of the AdamW groups.
        use_muon: Whether a group is updated by Muon (else by AdamW).
        bf16: Orthogonalize large matrices in bfloat16.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.05,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        use_muon: bool = True,
        bf16: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "betas": betas,
            "eps": eps,
            "use_muon": use_muon,
            "fused": True,  # tells PyTorch to keep the number of steps on the device when it restores a state
        }
        super().__init__(params, defaults)
        self._bf16 = bf16  # of this process, and no part of the state that a checkpoint restores
        for group in self.param_groups:
            if group["use_muon"] and any(parameter.ndim < 2 for parameter in group["params"]):
                raise ValueError(
                    "Muon needs parameters with at least two dimensions; use use_muon=False for others."
                )

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step; return the loss of ``closure``, which re-evaluates the model, if it is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            if group["use_muon"]:
                self._step_muon(parameters, group)
            else:
                self._step_adamw(parameters, group)
        return loss

    def _step_muon(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        gradients: Any = [parameter.grad for parameter in parameters]
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        nesterov = torch._foreach_lerp(gradients, momenta, group["momentum"])
        by_shape = defaultdict(list)
        for parameter, update in zip(parameters, nesterov, strict=True):
            by_shape[parameter.shape].append((parameter, update))
        if group["weight_decay"]:
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        for shape, pairs in by_shape.items():
            updates = torch.stack([update.flatten(1) for _, update in pairs]).float()
            scale = max(1.0, updates.size(1) / updates.size(2)) ** 0.5
            for (parameter, _), update in zip(pairs, orthogonalize(updates, self._bf16), strict=True):
                parameter.add_(update.view(shape), alpha=-group["lr"] * scale)

    def _step_adamw(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
                state["mean"] = torch.zeros_like(parameter)
                state["variance"] = torch.zeros_like(parameter)
        gradients: Any = [parameter.grad for parameter in parameters]
        states = [self.state[parameter] for parameter in parameters]
        adamw(
            parameters,
            gradients,
            [state["mean"] for state in states],
            [state["variance"] for state in states],
            [],
            [state["step"] for state in states],
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )
