"""Muon for weight matrices and convolution kernels, AdamW for everything else, in one optimiser."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_COEFFICIENTS, _STEPS = (3.4445, -4.7750, 2.0315), 5  # of the Newton-Schulz iteration


def orthogonalize(matrices: Tensor) -> Tensor:
    """Map each matrix of (B, M, N) to an approximation of its nearest semi-orthogonal matrix.

    Runs five steps of the quintic Newton-Schulz iteration of Jordan et al. (2024), which brings all
    singular values to roughly [0.7, 1.2]. The iteration multiplies ``X`` by a polynomial ``P`` in its Gram
    matrix ``A = X X^T`` and hence ``A`` by ``P^2``, so that only the small Gram matrix has to be iterated.
    """
    if matrices.size(1) > matrices.size(2):
        return orthogonalize(matrices.mT).mT
    a, b, c = _COEFFICIENTS
    matrices = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    gram = matrices @ matrices.mT
    identity = torch.eye(gram.size(-1), dtype=gram.dtype, device=gram.device)
    product = identity.expand_as(gram)
    for _ in range(_STEPS):
        polynomial = a * identity + b * gram + c * (gram @ gram)
        product = polynomial @ product
        gram = polynomial @ gram @ polynomial
        gram = (gram + gram.mT) / 2
    return product @ matrices


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
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "betas": betas,
            "eps": eps,
            "use_muon": use_muon,
        }
        super().__init__(params, defaults)
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
            if group["weight_decay"]:
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            if group["use_muon"]:
                self._step_muon(parameters, group)
            else:
                self._step_adamw(parameters, group)
        return loss

    def _step_muon(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        by_shape = defaultdict(list)
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            gradient: Any = parameter.grad
            state["momentum"].lerp_(gradient, 1 - group["momentum"])
            update = gradient.lerp(state["momentum"], group["momentum"])
            by_shape[parameter.shape].append((parameter, update))
        for shape, pairs in by_shape.items():
            updates = torch.stack([update.flatten(1) for _, update in pairs]).float()
            scale = max(1.0, updates.size(1) / updates.size(2)) ** 0.5
            for (parameter, _), update in zip(pairs, orthogonalize(updates), strict=True):
                parameter.add_(update.view(shape), alpha=-group["lr"] * scale)

    def _step_adamw(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["step"] = 0
                state["mean"] = torch.zeros_like(parameter)
                state["variance"] = torch.zeros_like(parameter)
            state["step"] += 1
            gradient: Any = parameter.grad
            state["mean"].lerp_(gradient, 1 - beta1)
            state["variance"].lerp_(gradient.square(), 1 - beta2)
            denominator = (state["variance"] / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
            parameter.addcdiv_(state["mean"], denominator, value=-group["lr"] / (1 - beta1 ** state["step"]))
