"""Test accuracies that others have published, to compare ours with."""

from typing import NamedTuple


class Published(NamedTuple):
    """A published test accuracy.

    Attributes:
        system: What was trained.
        source: Who published it.
        accuracy: As they give it; None where they give none.
        stated: The accuracy in their words.
    """

    system: str
    source: str
    accuracy: float | None
    stated: str


_KERAS, _PIPELINE, _TWO = "report A: Keras", "report B: Athrey et al. 2024", "report C: LeNet-5"
_BENCHMARK = "Xiao et al. 2017, arXiv 1708.07747, table 3"

REPORTS = {
    "published-mlp-keras": Published("fully connected network", _KERAS, 0.90, "at least 0.90"),
    "published-logistic-regression": Published("logistic regression", _PIPELINE, 0.83, "about 0.83"),
    "published-svm": Published("support vector machine, kernel", _PIPELINE, 0.87, "about 0.87"),
    "published-random-forest": Published("random forest", _PIPELINE, 0.89, "about 0.89"),
    "published-knn": Published("k-nearest neighbours", _PIPELINE, None, "no figure"),
    "published-mlp": Published("MLP", _PIPELINE, 0.85, "about 0.85"),
    "published-cnn": Published("CNN with augmentation", _PIPELINE, 0.91, "about 0.91"),
    "published-resnet": Published("ResNet with augmentation", _PIPELINE, 0.91, "about 0.91"),
    "published-mlp-classifier": Published("MLPClassifier, one layer of 64", _TWO, 0.8709, "0.8709"),
    "published-lenet5": Published("LeNet-5, 5 epochs", _TWO, 0.8953, "0.8953"),
}
"""The systems of three published reports, by the name of the run that repeats them.

Report B is by K. Athrey, A. Sinha and A. Chatterjee, 2024, https://github.com/AByteOfAI/fashion_mnist; who
wrote A and C is not known here.
"""

RECORDS = {
    "mlp": Published("MLP on raw pixels, 2.9 M parameters", "arXiv 1901.06656", 0.9163, "0.9163"),
    "lenet5": Published(
        "LeNet-5-like, at most 113k parameters", "Fashion-MNIST README", 0.922, "0.922 to 0.925"
    ),
    "cnn": Published("small CNN, 296k parameters, 200 epochs", "fashion-mnist issue 93", 0.947, "0.947"),
    "resnet": Published("ResNet-20, 300 epochs", "Random-Erasing issue 10", 0.9555, "0.9555"),
    "logistic-regression": Published("logistic regression", _BENCHMARK, 0.842, "0.842"),
    "linear-svm": Published("linear SVC", _BENCHMARK, 0.836, "0.836"),
    "svm": Published("SVC, rbf, C = 10", _BENCHMARK, 0.897, "0.897"),
    "random-forest": Published("random forest", _BENCHMARK, 0.873, "0.873"),
    "hist-gradient-boosting": Published("gradient boosting", _BENCHMARK, 0.880, "0.880"),
    "knn": Published("k-nearest neighbours", _BENCHMARK, 0.854, "0.854"),
    "hog-svm": Published("HOG + SVM", "fashion-mnist issue 83", 0.926, "0.926, disputed"),
}
"""The best credible accuracy of a class of models on the current files, by the name of our run."""


def find(name: str) -> Published | None:
    """Return the published accuracy to compare a run of this name with."""
    return REPORTS.get(table_key(name)) or RECORDS.get(table_key(name))


def table_key(name: str) -> str:
    """Return a run name as the tables above write it."""
    return name.replace("_", "-")


def verdict(ours: float, theirs: float | None) -> str:
    """Say whether a published accuracy was met."""
    if theirs is None:
        return "no accuracy given"
    return "met" if ours >= theirs else f"missed by {100 * (theirs - ours):.2f} points"
