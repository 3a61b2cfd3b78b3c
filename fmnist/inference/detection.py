"""Out-of-distribution (OOD) detection: scores of how unlike the training images an image is, thresholds."""

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fmnist.core.errors import InputError
from fmnist.core.files import write_arrays
from fmnist.core.images import to_float
from fmnist.core.runs import Run
from fmnist.core.statistics import softmax
from fmnist.inference.predictor import Predictor

if TYPE_CHECKING:
    from fmnist.data.datamodule import FashionMNISTDataModule

FILE = "detection.npz"
REFERENCES = 5_000  # training images that others are compared with
CHECKED = 5_000  # images that the threshold is chosen on, at most
ACCEPTED = 0.95  # the share of those that the threshold accepts
PIXEL_WEIGHT = 0.07  # of 0.04 to 0.14, it separated most validation images from digits and from noise
RIDGE = 1e-6


@dataclass(frozen=True)
class ModelOutputs:
    """Images and what a run's model computes for them.

    Attributes:
        images: uint8 (N, 28, 28).
        logits: float32 (N, 10).
        embeddings: float32 (N, D), the input of a network's last layer; an estimator's are the pixels.
    """

    images: np.ndarray
    logits: np.ndarray
    embeddings: np.ndarray


OODScore = Callable[[ModelOutputs], np.ndarray]
"""How unlike the training images each image is, (N,)."""


@dataclass(frozen=True)
class References:
    """What a run keeps of its training images, so that others can be compared with them.

    Attributes:
        images: uint8 (M, 28, 28).
        labels: int64 (M,).
        embeddings: float32 (M, D), or float16 in the file of a shipped network.
        threshold: 95 % of the validation images, and of the validation photographs if the run has any, have
            a neighbour that is no farther.
    """

    images: np.ndarray
    labels: np.ndarray
    embeddings: np.ndarray
    threshold: float


@dataclass(frozen=True)
class Detector:
    """Tells which images are too unlike the training images: those with a higher score than the threshold.

    The note is a limitation that users should know of, or empty.
    """

    score: OODScore
    threshold: float
    note: str = ""


def run_model(predictor: Predictor, images: np.ndarray) -> ModelOutputs:
    """Compute all that the scores need of images uint8 (N, 28, 28)."""
    return ModelOutputs(images, predictor.logits(images), predictor.embeddings(images))


def maximum_probability(outputs: ModelOutputs) -> np.ndarray:
    """Score by the probability of the likeliest class (Hendrycks and Gimpel 2017, arXiv 1610.02136)."""
    return -softmax(outputs.logits).max(1)


def energy(outputs: ModelOutputs) -> np.ndarray:
    """Score by the free energy of the logits (Liu et al. 2020, arXiv 2010.03759, equation 4)."""
    from scipy.special import logsumexp  # a part of a second, which most commands need not wait

    return -logsumexp(outputs.logits.astype(np.float64), axis=1)


def class_means(references: References) -> OODScore:
    """Score by the Mahalanobis distance to the nearest class mean in the embedding, squared.

    Source: Lee et al. 2018, arXiv 1807.03888, equation 2; of the last layer alone.
    """
    embeddings, labels = references.embeddings.astype(np.float64), references.labels
    classes = np.unique(labels)
    means = np.stack([embeddings[labels == label].mean(0) for label in classes])
    covariance = np.atleast_2d(np.cov((embeddings - means[np.searchsorted(classes, labels)]).T))
    ridge = RIDGE * np.trace(covariance) / len(covariance)  # a dead unit has no variance
    # after it, plain distances are Mahalanobis distances
    whitening = np.linalg.cholesky(np.linalg.inv(covariance + ridge * np.eye(len(covariance))))

    def score(outputs: ModelOutputs) -> np.ndarray:
        return _squared_distances(outputs.embeddings @ whitening, means @ whitening).min(1)

    return score


def nearest_neighbour(references: References) -> OODScore:
    """Score by the distance to the nearest training image, see ``distances_to``."""
    distances = distances_to(references)
    return lambda outputs: distances(outputs).min(1)


def distances_to(references: References) -> Callable[[ModelOutputs], np.ndarray]:
    """Return a function that gives the distances (N, M) of images to M training images, squared.

    They are taken in the embedding beside the pixels. The embedding is scaled to unit length, as Sun et al.
    2022 (arXiv 2204.06507) do. The pixels are not, and show what a network does not notice, e.g. noise that
    it takes for a garment.
    """
    known = _points(references.images, references.embeddings.astype(np.float32))
    return lambda outputs: _squared_distances(_points(outputs.images, outputs.embeddings), known)


def _points(images: np.ndarray, embeddings: np.ndarray) -> np.ndarray:
    """Return images as points, float32 (N, D + 784)."""
    lengths = np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
    pixels = to_float(images).reshape(len(images), -1)
    return np.concatenate([embeddings / lengths, PIXEL_WEIGHT * pixels], axis=1)


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the squared distances (N, M) between points (N, D) and (M, D)."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * (a @ b.T), 0)


MAXIMUM, ENERGY, NEIGHBOUR = "maximum probability", "energy", "nearest neighbour"
OOD_SCORES: dict[str, Callable[[References], OODScore]] = {
    MAXIMUM: lambda references: maximum_probability,
    ENERGY: lambda references: energy,
    "class means": class_means,
    NEIGHBOUR: nearest_neighbour,
}
"""Every score by name: from a run's references to the score. Each one is measured by ``--shifts``."""


def scores_of(references: References, score_type: str = "logits") -> dict[str, OODScore]:
    """Return every score that says something of logits of a type (``Run.score_type``), by name."""
    scores = {name: prepare(references) for name, prepare in OOD_SCORES.items()}
    if score_type == "log-probabilities":
        del scores[ENERGY]  # 0 for every image
    return scores


def find_detector(predictor: Predictor, root: str = "data") -> Detector | None:
    """Return the detector of a run: distance to the nearest training image, where those are available.

    The first call reads the training images from the data on this machine and keeps those that it needs in
    the run folder. Where there are none, the energy is used instead, with a note; a run without validation
    images, too, has no detector.
    """
    references = read_references(predictor.run)
    if references is None:
        from fmnist.data.of_run import data_of  # imports Lightning

        try:
            data = data_of(predictor.run, root)
        except InputError as reason:
            return _detector_without_data(predictor.run, str(reason))
        references = references_of(predictor, data)
    return Detector(nearest_neighbour(references), references.threshold)


def references_of(predictor: Predictor, data: "FashionMNISTDataModule") -> References:
    """Return the training images that others are compared with, from the run folder if it keeps them."""
    references = read_references(predictor.run)
    if references is None:
        references = choose_references(predictor, data, REFERENCES)
        # without write permission it only has to be computed each time
        if not predictor.run.is_shipped:
            with contextlib.suppress(OSError):
                write_arrays(predictor.run.path / FILE, asdict(references))
    return references


def choose_references(
    predictor: Predictor, data: "FashionMNISTDataModule", count: int, compact: bool = False
) -> References:
    """Choose training images, and the threshold by validation images or else by other training images.

    If the run has validation photographs, the threshold accepts 95 % of them, too. With ``compact``, the
    embeddings are rounded to float16 before the threshold is chosen.
    """
    from fmnist.data.arrays import images_of

    train, val = images_of(data, "train"), images_of(data, "val")
    order = np.random.default_rng(0).permutation(len(train.images))
    chosen, others = np.sort(order[:count]), np.sort(order[count:][:CHECKED])
    known, labels = run_model(predictor, train.images[chosen]), train.labels[chosen]
    embeddings = known.embeddings.astype(np.float16) if compact else known.embeddings
    references = References(known.images, labels, embeddings, np.inf)
    checked = val.images[:CHECKED] if len(val.images) else train.images[others]
    distance = nearest_neighbour(references)
    thresholds = [
        float(np.quantile(distance(run_model(predictor, images)), ACCEPTED))
        for images in (checked, predictor.run.photograph_images())
        if len(images)
    ]
    return replace(references, threshold=max(thresholds, default=np.inf))


def _detector_without_data(run: Run, reason: str) -> Detector | None:
    """Return the detector that needs no training images, its threshold by the validation predictions."""
    try:
        logits = run.predictions("val").logits
    except InputError:
        return None
    normalised = run.score_type == "log-probabilities"  # whose energy is 0, whatever the image
    name, score = (MAXIMUM, maximum_probability) if normalised else (ENERGY, energy)
    unused = np.zeros((len(logits), 0))
    threshold = float(np.quantile(score(ModelOutputs(unused, logits, unused)), ACCEPTED))
    note = f"{reason}; so the {name} alone tells what is unlike the training images, less reliably"
    return Detector(score, threshold, note)


def read_references(run: Run) -> References | None:
    """Read the training images that a run keeps; None where it keeps none."""
    try:
        with (run.path / FILE).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return References(**{**arrays, "threshold": float(arrays["threshold"])})
    except Exception:  # missing, or damaged, which raises nearly anything: it is made again
        return None
