"""The published figures beside ours."""

from pathlib import Path

import pytest
import yaml

from fmnist.evaluation import published

CONFIGS = Path(__file__).parents[2] / "configs" / "published"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_published_configuration_has_its_figure(path: Path) -> None:
    name = yaml.safe_load(path.read_text())["name"]
    assert published.key(name) in published.REPORTS


def test_names_are_told_apart() -> None:
    assert published.find("published-cnn") != published.find("cnn")
    assert published.find("published_random_forest") is published.REPORTS["published-random-forest"]
    assert published.find("my-model") is None


def test_verdicts() -> None:
    assert published.verdict(0.8955, 0.8953) == "met"
    assert published.verdict(0.8953, 0.8953) == "met"
    assert published.verdict(0.9122, 0.9204) == "missed by 0.82 points"
    assert published.verdict(0.85, None) == "no figure to meet"
