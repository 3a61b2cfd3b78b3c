"""How well a run tells images of something else from images of garments."""

from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from fmnist.data.arrays import images_of
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.inference.detection import ACCEPTED, references_of, run_model, scores_of
from fmnist.inference.predictor import Predictor
from fmnist.robustness.ood_images import drawn_digits, noise_images

OUTSIDERS = {"drawn digits": drawn_digits, "noise": noise_images}
COUNT = 2_000  # of each kind
SEED = 1  # the score was chosen with 0


def detection_table(
    predictor: Predictor, data: FashionMNISTDataModule, count: int = COUNT
) -> list[dict[str, Any]]:
    """Measure every score on the test images against drawn digits and against noise.

    Args:
        predictor: The run.
        data: With the run's split, set up.
        count: Outsiders of each kind.

    Returns:
        A row for each score and kind of outsiders: ``score``, ``outsiders``, ``auroc`` (area under the
        ROC curve, 0.5 is chance) and ``fpr95``, the share of outsiders that is accepted by the threshold
        that accepts 95 % of the test images.
    """
    scores = scores_of(references_of(predictor, data), predictor.run.score_type)
    insiders = run_model(predictor, images_of(data, "test").images)
    rows = []
    for kind, make in OUTSIDERS.items():
        outsiders = run_model(predictor, make(count, SEED))
        rows += [
            {"outsiders": kind, "score": name, **separation(score(insiders), score(outsiders))}
            for name, score in scores.items()
        ]
    return rows


def separation(insiders: np.ndarray, outsiders: np.ndarray) -> dict[str, float]:
    """Return ``auroc`` and ``fpr95`` of scores (N,) and (M,) that should be higher for outsiders."""
    foreign = np.repeat([False, True], [len(insiders), len(outsiders)])
    return {
        "auroc": float(roc_auc_score(foreign, np.concatenate([insiders, outsiders]))),
        "fpr95": float((outsiders <= np.quantile(insiders, ACCEPTED)).mean()),
    }
