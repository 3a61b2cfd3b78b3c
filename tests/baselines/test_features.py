"""Steps from an image to what an estimator is given."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.preprocessing import StandardScaler

from fmnist.baselines.features import extractor, first_step, transformers
from fmnist.baselines.hog import hog
from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.data.arrays import as_pixels
from fmnist.models.loading import in_batches, load_classifier

IMAGES = np.random.default_rng(0).integers(256, size=(4, 28, 28)).astype(np.uint8)
NYSTROEM = {"class_path": "sklearn.kernel_approximation.Nystroem", "init_args": {"gamma": 0.1}}


@pytest.mark.parametrize("features", [[], ["pixels"], ["standardize"], [{"pca": 3}], [NYSTROEM]])
def test_without_another_extractor_there_are_pixels(features: list[Any]) -> None:
    assert first_step(features) == ("pixels", None)
    assert extractor(features, Path("none")) is as_pixels


def test_hog_takes_arguments() -> None:
    assert np.array_equal(extractor(["hog"], Path())(IMAGES), hog(IMAGES))
    small = extractor([{"hog": {"cell": 7, "orientations": 4}}, "standardize"], Path())
    assert np.array_equal(small(IMAGES), hog(IMAGES, cell=7, orientations=4))


def test_an_embedding_is_the_input_of_the_last_layer(network: Run) -> None:
    features = extractor([{"embedding": str(network.path)}], network.path)(IMAGES)
    model: Any = load_classifier(network.path)
    assert features.shape == (4, 16)
    logits = (
        features @ model.network.head.weight.detach().numpy().T + model.network.head.bias.detach().numpy()
    )
    np.testing.assert_allclose(logits, in_batches(model, IMAGES), rtol=1e-4, atol=1e-5)
    assert isinstance(extractor([{"embedding": "x"}], network.path), partial)


def test_transformers_are_built_in_order() -> None:
    made: Any = transformers(["hog", "standardize", {"pca": 20}, NYSTROEM], seed=9)
    assert [type(step) for step in made] == [StandardScaler, PCA, Nystroem]
    assert (made[1].n_components, made[1].random_state) == (20, 9)
    assert (made[2].gamma, made[2].random_state) == (0.1, 9)
    (pca,) = transformers([{"pca": {"n_components": 0.9, "whiten": True}}], 0)
    assert pca.get_params()["whiten"] is True


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ("hog", "--features 'hog': must be a list of steps"),
        (["standardise"], "--features standardise: no such step; there are pixels, hog, embedding, standard"),
        (["standardize", "hog"], "--features hog: must be the first of the steps"),
        (["pixels", "hog"], "--features hog: must be the first of the steps"),
        ([3], "--features 3: a step is a name, or {name: value}"),
        ([{"pca": 3, "hog": 1}], "--features {'pca': 3, 'hog': 1}: a step is a name"),
        (["embedding"], "--features embedding: needs the RUN of a network, like {embedding: logs/cnn}"),
        ([{"embedding": 3}], "--features embedding: needs the RUN"),
        ([{"pixels": 3}], "--features pixels 3: takes no arguments"),
        ([{"hog": 3}], "--features hog 3: takes arguments by name: orientations, cell, block"),
        ([{"hog": {"cels": 3}}], "--features hog {'cels': 3}: takes arguments by name"),
        ([{"hog": {"cell": "x"}}], "--features hog cell 'x': must be a whole number"),
        ([{"hog": {"cell": 5}}], "--features hog cell 5: must be a divisor of 28"),
        ([{"standardize": 3}], "--features standardize 3: takes arguments by name only"),
        ([{"pca": {"n": 3}}], "--features pca.n: PCA takes no such argument"),
        ([{"pca": "x"}], "--features pca.n_components 'x': The 'n_components' parameter of PCA"),
        ([{"class_path": "sklearn.svm.SVC"}], "--features sklearn.svm.SVC: is no transformer"),
        ([{"class_path": "sklearn.decomposition.PAC"}], "--features sklearn.decomposition.PAC: is no class"),
    ],
)
def test_wrong_steps_are_said(features: Any, said: str) -> None:
    with pytest.raises(InputError) as error:
        transformers(features, 0)
    assert str(error.value).startswith(said)
