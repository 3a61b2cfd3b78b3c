"""Soft voting of finished runs: the weighted mean of their temperature-scaled probabilities."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fmnist.baselines.estimator import FLOOR, ScoreType, log_probabilities
from fmnist.baselines.features import ImageFunction
from fmnist.core.calibration import fit_temperature
from fmnist.core.errors import InputError, quoted
from fmnist.core.files import to_json, write_file
from fmnist.core.statistics import softmax

FILE = Path("checkpoints", "blend.json")
MEMBERS = Path("checkpoints", "members")
"""Holds a folder ``0``, ``1``, ... with configuration and model for each member."""
STEPS = 1_000  # of expectation maximisation, a millisecond each


class Blend:
    """Several models as one.

    Args:
        temperatures: Each model's logits are divided by its temperature before the softmax.
        weights: Of the models' probabilities; they sum to 1.
        members: The models, each a function of images uint8 (N, 28, 28) to logits float32 (N, 10).
    """

    score_type: ScoreType = "log-probabilities"
    losses: Sequence[float] = ()

    def __init__(
        self, temperatures: Sequence[float], weights: Sequence[float], members: Sequence[ImageFunction]
    ) -> None:
        self.temperatures, self.weights = list(temperatures), list(weights)
        self.members = members

    @classmethod
    def fit(
        cls, logits: Sequence[np.ndarray], labels: np.ndarray, members: Sequence[ImageFunction]
    ) -> "Blend":
        """Choose temperatures, then weights, by the likelihood of the validation labels alone.

        The logits are those of the validation images by each model, (N, 10), and the labels int64 (N,).
        """
        temperatures = [fit_temperature(rows, labels) for rows in logits]
        likelihoods = [
            softmax(rows, temperature)[np.arange(len(labels)), labels]
            for rows, temperature in zip(logits, temperatures, strict=True)
        ]
        weights = fit_weights(np.maximum(np.stack(likelihoods, axis=1), FLOOR))
        return cls(temperatures, weights.tolist(), members)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Return log-probabilities, float32 (N, 10), of images uint8 (N, 28, 28)."""
        probabilities = [
            weight * softmax(member(images), temperature)
            for member, temperature, weight in zip(self.members, self.temperatures, self.weights, strict=True)
        ]
        return log_probabilities(np.sum(probabilities, axis=0))

    def save(self, folder: Path) -> None:
        """Write temperatures and weights into a run folder."""
        content = {"temperatures": self.temperatures, "weights": self.weights}
        write_file(folder / FILE, to_json(content))


def load_blend(folder: Path, load_model: Callable[[Path], ImageFunction]) -> Blend:
    """Load the blend of a run folder, each member from its copy there by ``load_model``.

    Raises:
        InputError: Its file or a member is damaged.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_bytes())
        temperatures, weights = list(content["temperatures"]), list(content["weights"])
        numbers = np.array([temperatures, weights], float)  # raises if they differ in number
        if not (np.isfinite(numbers).all() and (numbers[0] > 0).all()):
            raise ValueError("holds temperatures or weights that are no positive numbers")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{quoted(path)}: is damaged ({error})") from None
    return Blend(temperatures, weights, load_members(folder, len(weights), load_model))


def load_members(
    folder: Path, count: int, load_model: Callable[[Path], ImageFunction]
) -> list[ImageFunction]:
    """Load the members that a run folder holds copies of."""
    return [load_model(folder / MEMBERS / str(place)) for place in range(count)]


def fit_weights(likelihoods: np.ndarray) -> np.ndarray:
    """Return the weights (M,) of the mixture under which the labels are likeliest, a convex problem.

    ``likelihoods`` (N, M) are the probabilities, above 0, that M models give the right class of each image.
    """
    weights = np.full(likelihoods.shape[1], 1 / likelihoods.shape[1])
    for _ in range(STEPS):  # expectation maximisation: each step raises the likelihood
        shares = likelihoods * weights
        weights = (shares / shares.sum(1, keepdims=True)).mean(0)
    return weights
