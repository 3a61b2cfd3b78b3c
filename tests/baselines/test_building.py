"""From a configuration to scikit-learn's objects and feature steps, and the messages for wrong ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from fmnist.baselines.building import build, build_classifier, build_transformers, validating_argument
from fmnist.baselines.features import load_extractor
from fmnist.baselines.hog import hog
from fmnist.core.errors import InputError
from fmnist.core.images import as_pixels

IMAGES = np.random.default_rng(0).integers(256, size=(4, 28, 28)).astype(np.uint8)
NYSTROEM = {"class_path": "sklearn.kernel_approximation.Nystroem", "init_args": {"gamma": 0.1}}


def spec(path: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"sklearn.{path}", "init_args": arguments}


def test_arguments_arrive_and_a_seed_is_only_a_default() -> None:
    classifier: Any = build_classifier(spec("svm.SVC", C=3, kernel="poly"), seed=5)
    assert type(classifier) is SVC
    assert (classifier.C, classifier.kernel, classifier.random_state) == (3, "poly", 5)
    assert build(spec("svm.SVC", random_state=0), 7, "--estimator").random_state == 0


def test_arguments_may_be_objects() -> None:
    kernel = spec("gaussian_process.kernels.RBF", length_scale=2.0)
    process: Any = build_classifier(spec("gaussian_process.GaussianProcessClassifier", kernel=kernel), 0)
    assert process.kernel.length_scale == 2.0
    inner = spec("neural_network.MLPClassifier", hidden_layer_sizes=[64])
    bagging: Any = build_classifier(spec("ensemble.BaggingClassifier", estimator=inner), 3)
    assert bagging.estimator.random_state == 3
    steps = [["scale", spec("preprocessing.StandardScaler")], ["svc", spec("svm.LinearSVC")]]
    pipeline = build_classifier(spec("pipeline.Pipeline", steps=steps), 0)
    assert isinstance(pipeline, Pipeline)
    assert isinstance(pipeline[0], StandardScaler)


@pytest.mark.parametrize("features", [[], ["pixels"], [{"pca": 3}], [NYSTROEM]])
def test_without_another_extractor_there_are_pixels(features: list[Any]) -> None:
    assert load_extractor(features, Path("none")) is as_pixels


def test_pixels_may_be_square_roots() -> None:
    roots = load_extractor([{"pixels": "roots"}, {"pca": 3}], Path())(IMAGES)
    assert roots.dtype == np.float32
    assert np.allclose(roots, np.sqrt(IMAGES.reshape(len(IMAGES), -1) / 255))


def test_hog_takes_arguments() -> None:
    small = load_extractor([{"hog": {"cell": 7, "orientations": 4}}, "standardize"], Path())
    assert np.array_equal(small(IMAGES), hog(IMAGES, cell=7, orientations=4))


@pytest.mark.parametrize("name", ["XGBClassifier", "LGBMClassifier"])
def test_a_class_of_another_package_is_no_slip_of_the_pen(name: str) -> None:
    with pytest.raises(InputError) as error:
        build_classifier({"class_path": name}, 0)
    assert "did you mean" not in str(error.value)


def test_splitters_get_a_seed_only_if_they_shuffle() -> None:
    for arguments, seed in (({"n_splits": 3}, None), ({"shuffle": True}, 5)):
        splitter = spec("model_selection.StratifiedKFold", **arguments)
        built: Any = build_classifier(spec("linear_model.LogisticRegressionCV", cv=splitter), 5)
        assert built.cv.random_state == seed
    shuffled = build(spec("model_selection.ShuffleSplit"), 5, "--estimator.cv")
    assert shuffled.random_state == 5


def test_experimental_classes_are_enabled() -> None:
    inner = spec("naive_bayes.GaussianNB")
    grid = {"var_smoothing": [0.1, 0.2]}
    path = "model_selection.HalvingGridSearchCV"
    halving: Any = build_classifier(spec(path, estimator=inner, param_grid=grid), 0)
    assert type(halving).__name__ == "HalvingGridSearchCV"
    (imputer,) = build_transformers([spec("impute.IterativeImputer")], 0)
    assert type(imputer).__name__ == "IterativeImputer"


def test_transformers_are_built_in_order() -> None:
    steps: Any = build_transformers(["hog", "standardize", {"pca": 20}, NYSTROEM], seed=9)
    assert [type(step) for step in steps] == [StandardScaler, PCA, Nystroem]
    assert (steps[1].n_components, steps[1].random_state) == (20, 9)
    assert (steps[2].gamma, steps[2].random_state) == (0.1, 9)
    (pca,) = build_transformers([{"pca": {"n_components": 0.9, "whiten": True}}], 0)
    assert pca.get_params()["whiten"] is True


WRONG_CLASSIFIERS = [
    (spec("svm.SCV"), " sklearn.svm.SCV: is no class of scikit-learn, like sklearn.svm.SVC; did you mean"),
    ({"class_path": "os.system"}, " os.system: is of another package than scikit-learn"),
    ({"class_path": "RandomForestClasifier"}, " RandomForestClasifier: is no class of scikit-learn, like"),
    (spec("datasets._base.Path"), " sklearn.datasets._base.Path: is no class of scikit-learn"),
    (spec("svm.l1_min_c"), " sklearn.svm.l1_min_c: is no class"),
    (spec("svm.SVR"), " sklearn.svm.SVR: is no classifier"),
    ({"C": 3}, ": names no class_path"),
    (spec("svm.SVC", gama=3), ".gama: SVC takes no such argument; did you mean --estimator.gamma?"),
    (spec("svm.SVC", C=-1), ".C -1: The 'C' parameter of SVC must be"),
    ({**spec("svm.SVC"), "init_args": [1]}, ".init_args [1]: must hold arguments by name"),
    ({**spec("svm.SVC"), "args": {}}, ".args: is no key here, only class_path and init_args are"),
    (spec("ensemble.BaggingClassifier", estimator=spec("svm.SVC", C="x")), ".estimator.C 'x': The 'C' param"),
    (spec("ensemble.VotingClassifier"), " VotingClassifier: "),
    ({"class_path": "sklearn.base.BaseEstimator"}, " sklearn.base.BaseEstimator: is no classifier"),
    ({"class_path": "sklearn.base.ClassifierMixin"}, " sklearn.base.ClassifierMixin: is no classifier"),
    ({**spec("svm.SVC"), "x": 1, 2: 3}, ".2: is no key here"),
    (spec("neighbors.KDTree"), " sklearn.neighbors.KDTree: does not say which arguments it takes"),
    (spec("pipeline.Pipeline", steps=[["a"]]), " sklearn.pipeline.Pipeline: is no classifier"),
]
WRONG_STEPS = [
    ("hog", " 'hog': must be a list of steps"),
    (["standardise"], " standardise: no such step; there are pixels, hog, embedding, standardize, pca, and"),
    (["standardize", "hog"], " hog: must be the first of the steps"),
    ([3], " 3: a step is a name, or {name: value}"),
    ([{"pca": 3, "hog": 1}], " {'pca': 3, 'hog': 1}: a step is a name"),
    (["embedding"], " embedding: needs the RUN of a network, like {embedding: logs/cnn}"),
    ([{"pixels": 3}], " pixels 3: takes no arguments but roots"),
    ([{"hog": 3}], " hog 3: takes arguments by name: orientations, cell, block"),
    ([{"hog": {"cell": "x"}}], " hog cell 'x': must be a whole number"),
    ([{"standardize": 3}], " standardize 3: takes arguments by name only"),
    ([{"pca": "x"}], " pca.n_components 'x': The 'n_components' parameter of PCA"),
    ([spec("svm.SVC")], " sklearn.svm.SVC: is no transformer"),
    ([spec("pipeline.Pipeline", steps=[["a"]])], " sklearn.pipeline.Pipeline: is no transformer"),
]


@pytest.mark.parametrize(
    ("function", "content", "message"),
    [
        *((build_classifier, content, f"--estimator{message}") for content, message in WRONG_CLASSIFIERS),
        *((build_transformers, content, f"--features{message}") for content, message in WRONG_STEPS),
    ],
)
def test_what_cannot_be_built_is_refused_in_one_line(function: Any, content: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        function(content, 0)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("classifier", "argument"),
    [
        (spec("svm.SVC"), None),
        (spec("neural_network.MLPClassifier"), None),
        (spec("neural_network.MLPClassifier", early_stopping=True), "MLPClassifier's early_stopping"),
        (spec("ensemble.HistGradientBoostingClassifier", early_stopping=False), None),
        (spec("ensemble.GradientBoostingClassifier"), None),
        (spec("ensemble.GradientBoostingClassifier", n_iter_no_change=5), "n_iter_no_change"),
        (spec("ensemble.RandomForestClassifier", oob_score=True), "RandomForestClassifier's oob_score"),
        (spec("svm.SVC", probability=True), "SVC's probability"),
        (
            spec("ensemble.BaggingClassifier", estimator=spec("linear_model.RidgeClassifierCV")),
            "BaggingClassifier's estimator__cv",
        ),
    ],
)
def test_what_validates_itself_on_its_training_images(classifier: Any, argument: str | None) -> None:
    found = validating_argument(build_classifier(classifier, 0))
    assert found is None if argument is None else str(found).endswith(argument)
