"""How much of a run's accuracy is left on shifted test images, and how well it recognises OOD images.

The corruptions are those of Fashion-MNIST-C, each on its own and in five severities. No
accuracies are published for that grid: the published set mixes them, one drawn for each image.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import sem
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from fmnist.core.errors import InputError
from fmnist.data.arrays import Images, images_of
from fmnist.data.datamodule import FashionMNISTDataModule, stratified_split
from fmnist.inference.detection import ACCEPTED, references_of, run_model, scores_of
from fmnist.inference.predictor import Predictor
from fmnist.robustness.corruptions import CORRUPTIONS, FAMILIES, FLIPS, corrupt, severities_of
from fmnist.robustness.ood_images import OOD_IMAGES
from fmnist.robustness.rendered import POLARITIES, Photographs, prepared_photographs

PHOTOGRAPHED = 4  # one image of this many, in all kinds: preparing a photograph takes a hundred times as long
SEED = 0  # of the choice of images and of the corruptions
PHOTOGRAPH_SEED = 1_000_000  # test image i has this + i; smaller ones were used to choose the method
OOD_COUNT = 2_000  # OOD images of each kind
OOD_SEED = 1  # not 0, with which the score that `predict.py` uses was chosen


class ShiftedTestSet:
    """A stratified subset of the test images, and photographs of a quarter of it; the same for every run.

    Args:
        test: The whole test set.
        count: Size of the subset; None takes all.
        progress: Show bars.

    Raises:
        InputError: There are fewer images, or fewer are wanted than there are classes.
    """

    def __init__(self, test: Images, count: int | None, progress: bool = False) -> None:
        lowest, self.total = len(np.unique(test.labels)), len(test.labels)
        if count is not None and not lowest <= count <= self.total:
            raise InputError(f"--shifts {count}: must lie between {lowest} and {self.total:,}, or be 'all'")
        self.subset = stratified_subset(test, self.total if count is None else count)
        self.photographed = stratified_subset(test, max(lowest, len(self.subset.labels) // PHOTOGRAPHED))
        self.progress = progress

    @cached_property
    def photographs(self) -> dict[str, Photographs]:
        """The photographs by kind, prepared; made at the first use and kept for the next run."""
        images, _, indices = self.photographed
        return prepared_photographs(images, PHOTOGRAPH_SEED + indices, self.progress)


def stratified_subset(images: Images, count: int) -> Images:
    """Return a stratified subset in the order of the whole set; always the same one."""
    if count == len(images.labels):
        return images
    _, chosen = stratified_split(images.labels, count, None, SEED)
    return Images(*(array[chosen] for array in images))


def measure_shifts(predictor: Predictor, test_set: ShiftedTestSet) -> dict[str, Any]:
    """Measure a run on the test images as they are, corrupted, and photographed.

    Returns:
        The content of ``shifts.json`` without ``detection``.
    """
    images, labels, _ = test_set.subset
    return {
        "images": len(labels),
        "of": test_set.total,
        "seed": SEED,
        "clean": mean_accuracy(_right(predictor, images, labels)),
        **measure_corruptions(predictor, test_set),
        "photographs": measure_photographs(predictor, test_set),
    }


def measure_corruptions(predictor: Predictor, test_set: ShiftedTestSet) -> dict[str, Any]:
    """Return the accuracy under each corruption and severity, under each flip, and their means.

    The mean corruption accuracy is the mean over the eleven corruptions of the mean over their severities,
    flips left out; the mean corruption error is 1 less that. A corruption of one level counts as the others.
    """
    images, labels, indices = test_set.subset
    cells = [(name, severity) for name in (*CORRUPTIONS, *FLIPS) for severity in severities_of(name)]
    right: dict[str, list[np.ndarray]] = {name: [] for name, _ in cells}
    for name, severity in tqdm(cells, "corruptions", unit="set", disable=None if test_set.progress else True):
        corrupted = corrupt(images, name, severity, SEED, indices)
        right[name].append(_right(predictor, corrupted, labels))
    # (N,) each: the share of its severities under which an image is classified right
    by_image = {name: np.mean(levels, axis=0) for name, levels in right.items()}

    def mean(names: Iterable[str]) -> dict[str, float]:
        return mean_accuracy(np.mean([by_image[name] for name in names], axis=0))

    overall = mean(CORRUPTIONS)
    return {
        "mean_corruption_accuracy": overall,
        "mean_corruption_error": 1 - overall["accuracy"],
        "families": {family: mean(names) for family, names in FAMILIES.items()},
        "corruptions": {name: [float(level.mean()) for level in right[name]] for name in CORRUPTIONS},
        "mean_flip_accuracy": mean(FLIPS),
        "flips": {name: float(right[name][0].mean()) for name in FLIPS},
    }


def measure_photographs(predictor: Predictor, test_set: ShiftedTestSet) -> dict[str, Any]:
    """Return the accuracy on photographs of each kind, and that on the same images as they are."""
    images, labels, _ = test_set.photographed
    clean = mean_accuracy(_right(predictor, images, labels))
    kinds = {}
    for kind, (prepared, polarities) in test_set.photographs.items():
        row = mean_accuracy(_right(predictor, prepared, labels))
        row["of_clean"] = row["accuracy"] / clean["accuracy"] if clean["accuracy"] else 0.0
        if kind in POLARITIES:
            row["polarity_right"] = float((polarities == POLARITIES[kind]).mean())
        kinds[kind] = row
    return {"images": len(labels), "clean": clean, "kinds": kinds}


def _right(predictor: Predictor, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which images a run classifies right, bool (N,)."""
    return predictor.logits(images).argmax(1) == labels


def mean_accuracy(right: np.ndarray) -> dict[str, float]:
    """Return the mean of right answers, bool or in [0, 1] (N,), and its standard error over the images."""
    return {"accuracy": float(right.mean()), "standard_error": float(sem(right))}


def measure_detection(
    predictor: Predictor, data: FashionMNISTDataModule, count: int = OOD_COUNT
) -> list[dict[str, Any]]:
    """Measure how well each detection score tells OOD images, ``count`` of each kind, from the test images.

    Returns:
        A row for each kind of OOD images and each score: ``outsiders``, the kind of OOD images; ``score``,
        its name; and what `separation` returns.
    """
    scores = scores_of(references_of(predictor, data), predictor.run.score_type)
    test = run_model(predictor, images_of(data, "test").images)
    rows = []
    for kind, draw in OOD_IMAGES.items():
        ood = run_model(predictor, draw(count, OOD_SEED))
        rows += [
            {"outsiders": kind, "score": name, **separation(score(test), score(ood))}
            for name, score in scores.items()
        ]
    return rows


def separation(test: np.ndarray, ood: np.ndarray) -> dict[str, float]:
    """Compare the scores of test images (N,) with those of OOD images (M,), which should be higher.

    Returns:
        ``auroc``, the area under the ROC curve (0.5 is chance), and ``fpr95``, the share of OOD images that
        is accepted by the threshold that accepts 95 % of the test images.
    """
    is_ood = np.repeat([False, True], [len(test), len(ood)])
    return {
        "auroc": float(roc_auc_score(is_ood, np.concatenate([test, ood]))),
        "fpr95": float((ood <= np.quantile(test, ACCEPTED)).mean()),
    }
