"""Every classifier of scikit-learn for ten classes can be kept; a file that brings code is not loaded."""

import functools
import inspect
import io
import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier, kernels
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, RidgeClassifierCV
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
)  # fmt: skip
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, SplineTransformer
from sklearn.svm import SVC
from sklearn.utils import all_estimators

from fmnist.baselines import trust
from fmnist.baselines.building import build
from fmnist.baselines.estimator import FILE, load_estimator, pack, predict_scores, unpack
from fmnist.core.errors import InputError

Y = np.repeat(np.arange(10), 8)
X = (0.1 * Y[:, None] + 0.2 * np.random.default_rng(0).random((80, 6))).astype(np.float32)
OTHER_TASKS = {  # of two classes, or of several labels for an image
    "ClassifierChain", "FixedThresholdClassifier", "MultiOutputClassifier", "TunedThresholdClassifierCV",
}  # fmt: skip
INNER = LogisticRegression(max_iter=5)
ARGUMENTS = {
    "base_estimator": INNER, "estimator": INNER, "estimators": [["a", INNER], ["b", GaussianNB()]],
    "cv": 2, "Cs": 2, "max_iter": 5, "n_estimators": 2, "optimizer": None,
    "param_distributions": {"C": [1, 2]}, "param_grid": {"C": [1, 2]}, "n_iter": 2,
    "radius": 9.0, "reg_param": 0.1,
}  # fmt: skip


def small(kind: type) -> Any:
    known = inspect.signature(kind).parameters
    return kind(**{name: value for name, value in ARGUMENTS.items() if name in known})


def search(path: str) -> Any:
    inner = {"class_path": "sklearn.linear_model.LogisticRegression", "init_args": {"max_iter": 5}}
    arguments = {"estimator": inner, "param_grid": {"C": [1, 2]}, "cv": 2}
    return build({"class_path": path, "init_args": arguments}, 0, "--estimator")


MADE_OF_OTHERS = {
    "grid": GridSearchCV(INNER, {"C": [1, 2]}, cv=StratifiedKFold(2), scoring="f1_macro"),
    "grid of scores": GridSearchCV(INNER, {"C": [1]}, scoring=["accuracy", "neg_log_loss"], refit="accuracy"),
    "random": RandomizedSearchCV(INNER, {"C": [1, 2]}, n_iter=1, cv=ShuffleSplit(2)),
    "halving": search("sklearn.model_selection.HalvingGridSearchCV"),
    "soft votes": VotingClassifier([("a", INNER), ("b", GaussianNB())], voting="soft"),
    "stack": StackingClassifier([("a", INNER), ("b", GaussianNB())], cv=2, passthrough=True),
    "splitter": LogisticRegressionCV(Cs=2, cv=RepeatedStratifiedKFold(n_splits=2, n_repeats=1), max_iter=5),
    "temperature": CalibratedClassifierCV(GaussianNB(), method="temperature", cv=2),
    "isotonic": CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=2),
    "ridge": RidgeClassifierCV(scoring="accuracy"),
    "kernel": GaussianProcessClassifier(kernels.Matern() ** 2 + 2 * kernels.WhiteKernel(), optimizer=None),
    **{
        metric: KNeighborsClassifier(3, metric=metric, algorithm="ball_tree")
        for metric in ("chebyshev", "hamming")
    },
    "power": KNeighborsClassifier(3, p=1.5, algorithm="kd_tree"),
    "splines": make_pipeline(SplineTransformer(3), INNER),
    "bins": make_pipeline(KBinsDiscretizer(3), SVC()),  # sparse
    "best": make_pipeline(SelectKBest(k=3), INNER),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "classifier",
    [
        *(
            pytest.param(small(kind), id=name)
            for name, kind in all_estimators("classifier")
            if name not in OTHER_TASKS
        ),
        *(pytest.param(classifier, id=name) for name, classifier in MADE_OF_OTHERS.items()),
    ],
)
def test_a_classifier_predicts_the_same_once_it_is_loaded(classifier: Any) -> None:
    pipeline = make_pipeline(classifier).fit(X, Y)
    features, loaded = unpack(pack(["hog"], pipeline), FILE)
    assert features == ["hog"]
    scores = predict_scores(pipeline, X, "a test")
    assert scores.shape == (80, 10)
    np.testing.assert_allclose(predict_scores(loaded, X, "a test"), scores, rtol=1e-6)


HARMFUL = [
    "builtins.eval", "os.system", "posix.system", "subprocess.Popen", "numpy.save", "joblib.memory.Memory",
    "", "sklearn", "sklearn.", ".SVC",
    "sklearn.base.importlib", "sklearn.base.importlib.import_module",  # modules and what they hold
    "sklearn.utils._testing.check_output", "sklearn.datasets._base.Path",  # what is only imported there
    "sklearn.datasets._base.load_files", "sklearn.datasets._svmlight_format_io.dump_svmlight_file",
    "sklearn.utils._mocking.CheckingClassifier", "sklearn.utils.parallel.Parallel",
    "sklearn.metrics._dist_metrics.PyFuncDistance64", "sklearn.metrics._scorer.make_scorer",
    "sklearn.tree._export.export_graphviz", "sklearn.svm._classes.SVC.fit", "sklearn.svm.SVC",
    "sklearn.metrics._classification._check_targets", "sklearn.datasets.load_boston",  # raises if asked for
]  # fmt: skip


@pytest.mark.parametrize("name", HARMFUL)
def test_what_could_run_code_or_touch_files_is_not_trusted(name: str) -> None:
    assert not trust.is_trusted(name)


def test_trust_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert not trust.is_trusted("trap.Trap")
    assert not trust.is_trusted("sklearn.trap.Trap")


def constructor(module: str, name: str, *arguments: Any) -> bytes:
    """Return a skops file that calls a constructor with arguments when it is loaded."""
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(arguments))) as archive:
        schema = json.loads(archive.read("schema.json"))
    call = {"__module__": module, "__class__": name, "__loader__": "ConstructorFromReduceNode"}
    called = call | {"content": schema, "__id__": 1}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        parts = {key: schema[key] for key in ("protocol", "_skops_version")}
        archive.writestr("schema.json", json.dumps(called | parts))
    return content.getvalue()


@pytest.mark.parametrize(
    "kind",
    ["function", "metric", "method", "reader", "partial", "Popen", "os.system", "through scikit-learn"],
)
def test_a_file_that_brings_code_is_refused_and_runs_none_of_it(kind: str, tmp_path: Path) -> None:
    marker = tmp_path / "was run"
    command = ["touch", str(marker)]
    steps = {
        "function": lambda: FunctionTransformer(os.system),
        "metric": lambda: KNeighborsClassifier(metric=os.path.samefile),
        "method": lambda: setattr(stack := StackingClassifier([]), "stack_method_", ["tofile"]) or stack,
        "reader": lambda: CountVectorizer(input="filename"),
        "partial": lambda: FunctionTransformer(functools.partial(subprocess.call, command)),
    }
    calls = {
        "Popen": ("subprocess", "Popen", command),
        "os.system": ("os", "system", f"touch '{marker}'"),
        "through scikit-learn": ("sklearn.utils._testing", "check_output", command),
    }
    if kind in steps:
        pipeline = make_pipeline(steps[kind](), GaussianNB())
        content = skops.io.dumps({"features": [], "pipeline": pipeline})
    else:
        content = constructor(*calls[kind])
    path = tmp_path / FILE
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"estimator\.skops: holds .*, which no baseline does, and is not"):
        load_estimator(tmp_path)
    assert not marker.exists()
