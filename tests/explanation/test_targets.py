"""The question asked of a network: read from the command line, turned into coefficients and words."""

import numpy as np
import pytest

from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.explanation.targets import Target, describe, parse_class, parse_target

SHIRT, TOP = CLASSES.index("Shirt"), CLASSES.index("T-shirt/top")
PREDICTED, LABELS = np.array([3, 0, 9]), np.array([3, 6, 8])


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("predicted", Target("predicted")),
        ("true", Target("true")),
        ("Shirt", Target(SHIRT)),
        ("t-shirt/TOP", Target(TOP)),
        ("9", Target(9)),
        ("Shirt-vs-T-shirt/top", Target(SHIRT, TOP)),
        ("predicted-vs-true", Target("predicted", "true")),
    ],
)
def test_a_target_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(str(target)) == target


@pytest.mark.parametrize("text", ["Hat", "", "10", "-1", "Shirt-vs-Hat", "Shirt-vs-", "²"])
def test_an_unknown_class_is_refused_with_all_that_there_are(text: str) -> None:
    with pytest.raises(InputError, match=f"--target {text}: must be predicted, true, a class.*Ankle boot"):
        parse_target(text)


def test_a_class_against_itself_is_refused() -> None:
    with pytest.raises(InputError, match="--target Shirt-vs-6: names one class twice"):
        parse_target("Shirt-vs-6")


def test_the_flag_of_a_wrong_class_is_named() -> None:
    with pytest.raises(InputError, match="--pair: 'Hat' is no class; there are T-shirt/top, Trouser"):
        parse_class("Hat", "--pair")


def test_the_coefficients_pick_logits() -> None:
    logits = np.random.default_rng(0).normal(size=(3, 10))
    rows = np.arange(3)

    def score(target: Target) -> np.ndarray:
        return (logits * target.coefficients(PREDICTED, LABELS)).sum(1)

    np.testing.assert_allclose(score(Target("predicted")), logits[rows, PREDICTED])
    np.testing.assert_allclose(score(Target("true")), logits[rows, LABELS])
    np.testing.assert_allclose(score(Target(5)), logits[:, 5])
    np.testing.assert_allclose(score(Target(SHIRT, TOP)), logits[:, SHIRT] - logits[:, TOP])
    contrast = logits[rows, PREDICTED] - logits[rows, LABELS]
    np.testing.assert_allclose(score(Target("predicted", "true")), contrast, atol=1e-12)


def test_pictures_have_no_true_class() -> None:
    with pytest.raises(InputError, match="--target true: pictures of your own have no true class"):
        Target("true").coefficients(PREDICTED, None)


def test_a_question_in_words() -> None:
    signs = Target(SHIRT, "predicted").coefficients(np.array([TOP, SHIRT]), None)
    assert describe(signs[0]) == "for Shirt, not T-shirt/top"
    assert describe(signs[1]) == "for nothing: the classes are one"
    assert describe(Target(9).coefficients(PREDICTED, None)[0]) == "for Ankle boot"
