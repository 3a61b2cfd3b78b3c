"""What the checks write can be read again, and says the same in every form."""

import csv
from pathlib import Path

import numpy as np
import pytest

from fmnist.core.runs import Run
from fmnist.explanation import checks
from fmnist.explanation.attribution import Explainer, load_network
from fmnist.explanation.faithfulness import CENTRE, CURVES, MEASURES, RANDOM
from fmnist.explanation.output import Output
from fmnist.explanation.selection import Selection, by_index, load_test_set
from tests.explanation.conftest import Make

COUNT = 20


@pytest.fixture
def run(make_run: Make) -> Run:
    return make_run()


@pytest.fixture
def explainers(run: Run) -> list[Explainer]:
    return [Explainer(load_network(run), name) for name in ("gradcam", "smoothgrad")]


@pytest.fixture
def images(run: Run, synthetic_root: Path) -> Selection:
    return by_index(load_test_set(run, str(synthetic_root)), list(range(COUNT)))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_faithfulness(run: Run, explainers: list[Explainer], images: Selection, tmp_path: Path) -> None:
    with Output(run, tmp_path / "out") as output:
        text = checks.write_faithfulness(run, explainers, images, output)
    folder = tmp_path / "out"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "faithfulness-curves.png",
        *(f"faithfulness.{kind}" for kind in ("csv", "md", "npz", "png")),
    }
    assert (folder / "faithfulness.md").read_text() == text
    assert "- Grad-CAM " in text
    with np.load(folder / "faithfulness.npz") as arrays:
        methods, measures = arrays["methods"].tolist(), arrays["measures"].tolist()
        assert methods == ["Grad-CAM", "SmoothGrad", RANDOM, CENTRE]
        assert measures == list(MEASURES)
        assert arrays["scores"].shape == (4, len(MEASURES), COUNT)
        assert arrays["curves"].shape == (4, len(CURVES), 21)
        for row in rows(folder / "faithfulness.csv"):
            scores = arrays["scores"][methods.index(row["method"]), measures.index(row["measure"])]
            assert float(row["mean"]) == pytest.approx(scores.mean())


def test_sanity(run: Run, explainers: list[Explainer], images: Selection, tmp_path: Path) -> None:
    with Output(run, tmp_path / "out") as output:
        text = checks.write_sanity(run, explainers, images, None, output)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sanity.csv", "sanity.png"}
    found = rows(tmp_path / "out" / "sanity.csv")
    assert len(found) == 2 * 6
    assert [row["randomised_down_to"] for row in found[:2]] == ["head", "stages.1.4"]
    assert all(float(row["low"]) <= float(row["rank_correlation"]) <= float(row["high"]) for row in found)
    last = found[-1]
    assert text.splitlines()[-1].startswith("- SmoothGrad: rank correlation ")
    assert f"{float(last['rank_correlation']):.2f} [{float(last['low']):.2f}" in text.splitlines()[-1]
