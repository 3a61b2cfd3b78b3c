"""Accuracy on shifted test images, with models whose answers are known."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.evaluation import shifts
from fmnist.evaluation.collection import Group, Member
from fmnist.evaluation.comparison_report import write_comparison
from fmnist.evaluation.report import write_report
from fmnist.robustness.corruptions import CORRUPTIONS, FLIPS, ONE_LEVEL, SEVERITIES, corrupt
from fmnist.robustness.photographs import KINDS
from tests.evaluation.made import make_run, on_data, shifted
from tests.evaluation.reading import Page


class Nearest:
    """Answers with the class of the nearest test image: right on every image that is nearly itself."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images.reshape(len(images), -1).astype(np.float32), labels

    def logits(self, images: np.ndarray) -> np.ndarray:
        pixels = images.reshape(len(images), -1).astype(np.float32)
        distances = (self.images**2).sum(1) - 2 * pixels @ self.images.T
        logits = np.zeros((len(images), 10), np.float32)
        logits[np.arange(len(images)), self.labels[distances.argmin(1)]] = 1
        return logits


@pytest.fixture(scope="module")
def test_set(synthetic_root: Path) -> tuple[np.ndarray, np.ndarray]:
    data = source.load(synthetic_root)
    return data.test_images.numpy(), data.test_labels.numpy()


def stand_ins(images: np.ndarray, seeds: np.ndarray, *_: Any) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Return pictures that were prepared without a fault before all backgrounds but clutter."""
    assert seeds.min() >= shifts.FIRST_SCENE
    polarities = ["dark-on-light"] * (len(images) - 5) + ["light-on-dark"] * 5
    return {kind: (np.zeros_like(images) if kind == "cluttered" else images, polarities) for kind in KINDS}


@pytest.fixture(scope="module")
def found(test_set: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    model: Any = Nearest(*test_set)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shifts, "all_seen", stand_ins)
        return shifts.measure(model, *test_set, count=80)


def test_every_cell_is_the_accuracy_on_those_images(
    found: dict[str, Any], test_set: tuple[np.ndarray, np.ndarray]
) -> None:
    images, labels = test_set
    chosen = shifts.part(labels, 80)
    model = Nearest(images, labels)
    assert tuple(found["corruptions"]) == CORRUPTIONS
    assert tuple(found["flips"]) == FLIPS
    for name, severity in (("rotate", 4), ("shot_noise", 5), ("contrast", 2)):
        answers = model.logits(corrupt(images, name, severity)[chosen]).argmax(1)
        assert found["corruptions"][name][severity - 1] == (answers == labels[chosen]).mean()
    assert found["clean"]["accuracy"] == 1
    for name, levels in found["corruptions"].items():
        assert len(levels) == (1 if name in ONE_LEVEL else len(SEVERITIES))


def test_the_means_leave_flips_out_and_weigh_corruptions_alike(found: dict[str, Any]) -> None:
    means = {name: np.mean(levels) for name, levels in found["corruptions"].items()}
    mean = np.mean(list(means.values()))
    assert found["mean_corruption_accuracy"]["accuracy"] == pytest.approx(mean)
    assert found["mean_corruption_error"] == pytest.approx(1 - mean)
    assert sorted(name for names in shifts.FAMILIES.values() for name in names) == sorted(CORRUPTIONS)
    for family, names in shifts.FAMILIES.items():
        expected = np.mean([means[name] for name in names])
        assert found["families"][family]["accuracy"] == pytest.approx(expected)
    flips = np.mean(list(found["flips"].values()))
    assert found["mean_flip_accuracy"]["accuracy"] == pytest.approx(flips)
    assert 0.1 < mean < 0.95  # the test could tell


def test_photographs_are_measured_against_the_same_images(found: dict[str, Any]) -> None:
    photographs = found["photographs"]
    assert (photographs["images"], tuple(photographs["kinds"])) == (20, KINDS)
    kinds = photographs["kinds"]
    assert kinds["striped"] == {"accuracy": 1, "standard_error": 0, "of_clean": 1}
    assert kinds["cluttered"]["of_clean"] == kinds["cluttered"]["accuracy"] < 0.2
    assert (kinds["product"]["polarity_right"], kinds["negative"]["polarity_right"]) == (0.75, 0.25)


def test_a_part_of_the_images_is_stratified_and_always_the_same() -> None:
    labels = np.random.default_rng(0).permutation(np.arange(200) % 10)
    chosen = shifts.part(labels, 50)
    np.testing.assert_array_equal(chosen, np.unique(chosen))
    assert np.bincount(labels[chosen]).tolist() == [5] * 10
    np.testing.assert_array_equal(chosen, shifts.part(labels, 50))
    for all_of_them in (None, 200):
        np.testing.assert_array_equal(shifts.part(labels, all_of_them), np.arange(200))


def test_the_standard_error_is_that_of_a_mean() -> None:
    right = np.arange(100) < 80
    assert shifts.share(right) == pytest.approx({"accuracy": 0.8, "standard_error": np.sqrt(0.16 / 99)})
    assert shifts.share(right[:1])["standard_error"] == 0


@pytest.mark.parametrize("count", [-1, 9, 201])
def test_too_many_or_too_few_images_are_refused(test_set: tuple[np.ndarray, np.ndarray], count: int) -> None:
    model: Any = Nearest(*test_set)
    with pytest.raises(InputError, match=f"--shifts {count}: must lie between 10 and 200, or be 'all'"):
        shifts.measure(model, *test_set, count=count)


@pytest.fixture
def run(tmp_path: Path, synthetic_root: Path) -> Run:
    return make_run(tmp_path, **on_data(synthetic_root, 0, 4.0))


def test_a_run_gets_its_files_and_a_section_of_its_page(
    run: Run, synthetic_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shifts.read(run) is None
    without = {key: value for key, value in shifted(0.5).items() if key != "detection"}
    monkeypatch.setattr(shifts, "measure", lambda *_: dict(without))
    monkeypatch.setattr(shifts, "detection_table", lambda *_: shifted(0.5)["detection"])
    written = shifts.write_shifts(run, str(synthetic_root), 20)
    assert shifts.read(run) == written == shifted(0.5)
    assert (run.path / "shifts.csv").read_text().startswith("corruption,1,2,3,4,5,mean,lost\nshot noise,0.7")
    assert (run.path / "figures" / "shifts.png").read_bytes().startswith(b"\x89PNG")
    write_report(run, str(synthetic_root))
    page = Page((run.path / "report.html").read_text())
    assert page.data["matrices"]["shifts"]["unit"] == "accuracy"
    assert len(page.tables["photographs"]) == len(KINDS) + 1
    assert "No accuracies were published for this grid" in " ".join(page.texts)


def test_a_run_without_shifts_has_no_section(run: Run, synthetic_root: Path) -> None:
    write_report(run, str(synthetic_root))
    assert "Shifted images" not in (run.path / "report.html").read_text()


def test_other_data_and_damaged_files_are_refused(run: Run, tmp_path: Path, synthetic_root: Path) -> None:
    other = make_run(tmp_path, "other")
    with pytest.raises(InputError, match=re.escape(f"--data.root {synthetic_root}: holds other data")):
        shifts.write_shifts(other, str(synthetic_root))
    for content in (b"", b"{}", b"[1]", b'{"clean": {"accuracy": 1}}'):
        (run.path / "shifts.json").write_bytes(content)
        with pytest.raises(InputError, match=r"shifts\.json: is damaged .*; evaluate\.py --shifts"):
            shifts.read(run)


def test_a_comparison_shows_those_that_were_measured(tmp_path: Path, synthetic_root: Path) -> None:
    for name, level in (("cnn", 0.7), ("mlp", 0.4), ("lenet5", None)):
        made = make_run(tmp_path, name, **on_data(synthetic_root, len(name), 3.0))
        if level:
            (made.path / "shifts.json").write_text(json.dumps(shifted(level)))
    found, _ = write_comparison([tmp_path], tmp_path / "out", str(synthetic_root), reference="mlp")
    assert [row["model"] for row in found["shifts"].rows] == ["cnn", "mlp"]
    page = Page((tmp_path / "out" / "compare.html").read_text())
    assert set(page.data["matrices"]["shifts"]["columns"]) == {"cnn", "mlp"}
    command = f"python scripts/evaluate.py {tmp_path / 'lenet5' / 'version_0'} --shifts"
    assert command in page.texts


def test_of_several_seeds_the_first_measured_counts(run: Run, synthetic_root: Path) -> None:
    second = make_run(run.path.parents[1], seed=1, **on_data(synthetic_root, 1))
    (second.path / "shifts.json").write_text(json.dumps(shifted(0.6)))
    members = tuple(Member(one, one.predictions("test")) for one in (run, second))
    found, missing = shifts.of_groups([Group("cnn", members)])
    assert found["cnn"]["mean_corruption_accuracy"]["accuracy"] == 0.6
    assert missing == []
    _, missing = shifts.of_groups([Group("cnn", members[:1])])
    assert missing == [run.path]
