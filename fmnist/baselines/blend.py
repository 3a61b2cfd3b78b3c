"""Soft voting of finished runs: their temperature-scaled probabilities, weighted."""

import json
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from fmnist.baselines.estimators import FLOOR, Scores
from fmnist.baselines.members import load_model
from fmnist.core.calibration import fit_temperature
from fmnist.core.errors import InputError
from fmnist.core.statistics import softmax

FILE = Path("checkpoints", "blend.json")
MEMBERS = Path("checkpoints", "members")
STEPS = 1_000  # of expectation maximisation, a millisecond each


def fit_weights(likelihoods: np.ndarray) -> np.ndarray:
    """Return the weights (M,) of the mixture under which the labels are likeliest, a convex problem.

    Args:
        likelihoods: What each of M models gives the right class of each image, (N, M), above 0.
    """
    weights = np.full(likelihoods.shape[1], 1 / likelihoods.shape[1])
    for _ in range(STEPS):  # expectation maximisation: each step raises the likelihood
        shares = likelihoods * weights
        weights = (shares / shares.sum(1, keepdims=True)).mean(0)
    return weights


class Blend:
    """How the scores of several models become one.

    Args:
        temperatures: What each model's scores are divided by before the softmax.
        weights: Of the probabilities; they sum to 1.
        folder: The run folder, which holds the models.
    """

    kind: Scores = "log-probabilities"
    losses: Sequence[float] = ()

    def __init__(self, temperatures: Sequence[float], weights: Sequence[float], folder: Path) -> None:
        self.temperatures, self.weights = list(temperatures), list(weights)
        self._folder = folder

    @classmethod
    def fit(cls, scores: Sequence[np.ndarray], labels: np.ndarray, folder: Path) -> "Blend":
        """Choose temperatures, then weights, by the likelihood of the validation labels alone.

        Args:
            scores: Of the validation images by each model, (N, 10).
            labels: int64 (N,).
            folder: The run folder.
        """
        temperatures = [fit_temperature(made, labels) for made in scores]
        likelihoods = [
            softmax(made, temperature)[np.arange(len(labels)), labels]
            for made, temperature in zip(scores, temperatures, strict=True)
        ]
        weights = fit_weights(np.maximum(np.stack(likelihoods, axis=1), FLOOR))
        return cls(temperatures, weights.tolist(), folder)

    def combine(self, scores: Sequence[np.ndarray]) -> np.ndarray:
        """Return log-probabilities, float32 (N, 10), from the scores (N, 10) of every model."""
        mixed = np.zeros(scores[0].shape)
        for made, temperature, weight in zip(scores, self.temperatures, self.weights, strict=True):
            mixed += weight * softmax(made, temperature)
        return np.log(np.maximum(mixed, FLOOR)).astype(np.float32)

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Return log-probabilities, float32 (N, 10), of images uint8 (N, 28, 28)."""
        return self.combine([model(images) for model in self._models])

    @cached_property
    def _models(self) -> list[Callable[[np.ndarray], np.ndarray]]:
        return [load_model(self._folder / MEMBERS / str(place)) for place in range(len(self.weights))]

    def save(self, folder: Path) -> None:
        """Write temperatures and weights into a run folder, atomically."""
        path = folder / FILE
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_suffix(".tmp")
        content = {"temperatures": self.temperatures, "weights": self.weights}
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        os.replace(temporary, path)

    @classmethod
    def load(cls, folder: Path) -> "Blend":
        """Read what ``save`` wrote.

        Raises:
            InputError: It is damaged.
        """
        path = folder / FILE
        try:
            content = json.loads(path.read_bytes())
            return cls(content["temperatures"], content["weights"], folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: is damaged ({error})") from None
