"""Small fits, and a small network for them to build on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fmnist.baselines import fitting, report
from fmnist.baselines.config import configure
from fmnist.baselines.fit import fit_baseline
from fmnist.core.runs import Run
from fmnist.inference.predictor import load_logits
from tests.baselines.network import write_network
from tests.quick import leave_out_figures


@pytest.fixture
def fit(synthetic_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Fit with flags on the drawn set, in this process; figures, the slowest part, are left out."""
    monkeypatch.setattr(fitting, "fit_in_subprocess", fitting.fit)
    leave_out_figures(monkeypatch, report)

    def run(*flags: str) -> Run:
        data = ["--data.root", str(synthetic_root), "--data.val_size", "100"]
        config = configure(["--logs", str(tmp_path / "logs"), *data, *flags])
        return Run(fit_baseline(config, "a test", load_logits).path)

    return run


@pytest.fixture
def network(synthetic_root: Path, tmp_path: Path) -> Run:
    """A finished run of an untrained network."""
    return write_network(synthetic_root, tmp_path / "logs")
