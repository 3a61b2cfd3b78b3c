"""Optimisers and learning-rate schedules by name."""

import math
from typing import Literal

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from fmnist.models.muon import Muon

OptimizerName = Literal["adam", "adamw", "sgd", "muon"]
ScheduleName = Literal["constant", "linear", "cosine", "onecycle"]

FIRST_FACTOR, LAST_FACTOR = 1 / 25, 1e-5  # of the one-cycle schedule, relative to its peak


def schedule_factor(name: ScheduleName, progress: float, warmup: float) -> float:
    """Return the learning rate relative to its peak.

    Args:
        name: ``constant``, ``linear`` or ``cosine`` (Loshchilov and Hutter 2017, arXiv 1608.03983) after a
            linear rise from 0; ``onecycle`` (Smith and Topin 2018, arXiv 1708.07120) rises and falls along
            half cosines.
        progress: Share of the steps done, from 0 to 1.
        warmup: Share of the steps that the rise takes.
    """
    if progress < warmup:
        rise = progress / warmup
        return FIRST_FACTOR + (1 - FIRST_FACTOR) * _half_cosine(1 - rise) if name == "onecycle" else rise
    fall = (progress - warmup) / (1 - warmup) if warmup < 1 else 0.0
    match name:
        case "constant":
            return 1.0
        case "linear":
            return max(0.0, 1 - fall)
        case "cosine":
            return _half_cosine(min(1.0, fall))
        case "onecycle":
            return LAST_FACTOR + (1 - LAST_FACTOR) * _half_cosine(min(1.0, fall))


def _half_cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2


def build_optimizer(
    network: nn.Module,
    name: OptimizerName,
    learning_rate: float,
    weight_decay: float,
    momentum: float,
    adam_learning_rate: float = 2e-3,
    fused: bool = True,
    bf16: bool = False,
) -> Optimizer:
    """Build an optimiser over the trainable parameters of a network, see ``Classifier`` for the settings.

    ``adam`` is by Kingma and Ba 2015 (arXiv 1412.6980), ``adamw`` by Loshchilov and Hutter 2019 (arXiv
    1711.05101). ``muon`` updates matrices and convolutions by Muon, and by AdamW vectors and the head, which
    is the last ``nn.Linear`` in the order of ``network.modules()``.

    ``fused`` chooses the fused kernels of adam and adamw, which do not work with gradient clipping in
    Lightning's mixed precision. ``bf16`` lets Muon orthogonalize large matrices in bfloat16.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    # 1e-8 is 0 in float16, in which small second moments are 0, too
    eps = 1e-4 if any(parameter.dtype == torch.float16 for parameter in parameters) else 1e-8
    if name == "muon":
        linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
        head = linear[-1].weight if linear else None
        matrices = [p for p in parameters if p.ndim > 1 and p is not head]
        rest = [p for p in parameters if p.ndim <= 1 or p is head]
        return Muon(
            [
                {"params": matrices, "lr": learning_rate, "momentum": momentum, "weight_decay": weight_decay},
                {"params": rest, "lr": adam_learning_rate, "use_muon": False, "eps": eps},
            ],
            bf16=bf16,
        )
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    match name:
        case "sgd":
            return SGD(groups, learning_rate, momentum=momentum, nesterov=momentum > 0)
        case "adam":
            return Adam(groups, learning_rate, betas=(momentum, 0.999), eps=eps, fused=fused)
        case "adamw":
            return AdamW(groups, learning_rate, betas=(momentum, 0.999), eps=eps, fused=fused)
