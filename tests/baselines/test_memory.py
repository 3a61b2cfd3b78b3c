"""Kernels that would not fit into memory are refused."""

from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelPropagation, LabelSpreading
from sklearn.svm import SVC

from fmnist.baselines.memory import check_memory, kernel_bytes
from fmnist.core.errors import InputError

GIB = 2**30


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (GaussianProcessClassifier(), 3 * 60_000**2 * 8),
        (LabelPropagation(), 2 * 60_000**2 * 8),
        (LabelSpreading(kernel="knn"), 0),
        (SVC(cache_size=200), 200 * 2**20),
        (Nystroem(n_components=1000), 60_000 * 1000 * 4),
        (LogisticRegression(), 0),
    ],
)
def test_bytes_of_a_kernel(step: Any, expected: int) -> None:
    assert kernel_bytes(step, 60_000) == expected


def test_a_cache_holds_no_more_than_the_kernel() -> None:
    assert kernel_bytes(SVC(cache_size=10_000), 1000) == 1000**2 * 4


def test_a_kernel_larger_than_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10 * GIB))
    check_memory([GaussianProcessClassifier()], 5_000)
    with pytest.raises(InputError) as error:
        check_memory([LogisticRegression(), GaussianProcessClassifier()], 55_000)
    assert str(error.value).startswith(
        "--estimator GaussianProcessClassifier: its kernel of 55,000 images needs 72.6 GB, and 10.7 GB are"
    )
    assert "--data.train_size" in str(error.value)
