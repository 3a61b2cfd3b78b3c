"""Objects of scikit-learn from a configuration, and what is said of wrong ones."""

from typing import Any

import pytest
from sklearn.ensemble import BaggingClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from fmnist.baselines.building import build, build_classifier
from fmnist.core.errors import InputError


def test_arguments_arrive() -> None:
    spec = {"class_path": "sklearn.svm.SVC", "init_args": {"C": 3, "kernel": "poly"}}
    made: Any = build_classifier(spec, seed=5)
    assert type(made) is SVC
    assert (made.C, made.kernel, made.random_state) == (3, "poly", 5)


def test_a_given_random_state_stays() -> None:
    spec = {"class_path": "sklearn.svm.SVC", "init_args": {"random_state": 0}}
    assert build(spec, 7, "--estimator").random_state == 0


def test_arguments_may_be_objects() -> None:
    kernel = {"class_path": "sklearn.gaussian_process.kernels.RBF", "init_args": {"length_scale": 2.0}}
    spec = {
        "class_path": "sklearn.gaussian_process.GaussianProcessClassifier",
        "init_args": {"kernel": kernel},
    }
    made: Any = build_classifier(spec, 0)
    assert type(made) is GaussianProcessClassifier
    assert made.kernel.length_scale == 2.0
    inner = {"class_path": "sklearn.neural_network.MLPClassifier", "init_args": {"hidden_layer_sizes": [64]}}
    bagging = {"class_path": "sklearn.ensemble.BaggingClassifier", "init_args": {"estimator": inner}}
    bagged: Any = build_classifier(bagging, 3)
    assert (type(bagged), type(bagged.estimator)) == (BaggingClassifier, MLPClassifier)
    assert bagged.estimator.random_state == 3


def test_a_pipeline_is_a_classifier() -> None:
    steps = [["scale", {"class_path": "sklearn.preprocessing.StandardScaler"}]]
    steps.append(["svc", {"class_path": "sklearn.svm.LinearSVC"}])
    made = build_classifier({"class_path": "sklearn.pipeline.Pipeline", "init_args": {"steps": steps}}, 0)
    assert isinstance(made, Pipeline)
    assert isinstance(made[0], StandardScaler)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            {"class_path": "sklearn.svm.SCV"},
            "--estimator sklearn.svm.SCV: is no class of scikit-learn, like sklearn.svm.SVC; did you mean "
            "sklearn.svm.SVC?",
        ),
        ({"class_path": "os.system"}, "--estimator os.system: is no class of scikit-learn"),
        ({"class_path": "sklearn.svm.l1_min_c"}, "--estimator sklearn.svm.l1_min_c: is no class"),
        ({"class_path": "sklearn.svm.SVR"}, "--estimator sklearn.svm.SVR: is no classifier"),
        ({"class_path": "sklearn.cluster.KMeans"}, "--estimator sklearn.cluster.KMeans: is no classifier"),
        ({"class_path": 3}, "--estimator 3: is no class of scikit-learn"),
        ({"C": 3}, "--estimator: names no class_path"),
        (
            {"class_path": "sklearn.svm.SVC", "init_args": {"gama": 3}},
            "--estimator.gama: SVC takes no such argument; did you mean --estimator.gamma?",
        ),
        (
            {"class_path": "sklearn.svm.SVC", "init_args": {"C": -1}},
            "--estimator.C -1: The 'C' parameter of SVC must be a float in the range (0.0, inf",
        ),
        (
            {"class_path": "sklearn.svm.SVC", "init_args": {"kernel": "rfb"}},
            "--estimator.kernel 'rfb': The 'kernel' parameter of SVC must be a str among",
        ),
        (
            {"class_path": "sklearn.svm.SVC", "init_args": [1]},
            "--estimator.init_args [1]: must hold arguments by name",
        ),
        (
            {"class_path": "sklearn.svm.SVC", "args": {}},
            "--estimator.args: is no key here, only class_path and init_args are",
        ),
        (
            {
                "class_path": "sklearn.ensemble.BaggingClassifier",
                "init_args": {"estimator": {"class_path": "sklearn.svm.SVC", "init_args": {"C": "x"}}},
            },
            "--estimator.estimator.C 'x': The 'C' parameter of SVC must be a float",
        ),
        (
            {"class_path": "sklearn.ensemble.VotingClassifier"},
            "--estimator VotingClassifier: VotingClassifier.__init__() missing 1 required",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_said(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as error:
        build_classifier(spec, 0)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
