"""The tables of faithfulness and sanity in every form, and an output that cannot be written."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.explanation import faithfulness, results
from fmnist.explanation.attribution import Explainer, network_of
from fmnist.explanation.faithfulness import CENTRE, CURVES, MEASURES, RANDOM, Faithfulness
from fmnist.explanation.results import Output, compare_with_centre, faithfulness_markdown
from fmnist.explanation.selection import Selection
from fmnist.inference.predictor import Predictor

Measured = dict[str, Faithfulness]
COUNT = 400
IMAGES = 4


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_that_cannot_be_written_is_refused_before_and_during_the_work(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"--output .*file/folder: cannot be written \(Not a directory\)"):
        Output(run, tmp_path / "file" / "folder")
    with Output(run, tmp_path / "out") as output:
        (tmp_path / "out" / "sub").touch()
        with pytest.raises(InputError, match=r"--output .*out: cannot be written \((Not a dir|File exists)"):
            output.figure("sub/one", Figure(figsize=(1, 1)))


def faithfulness_of(shift: float, seed: int = 0, noise: float = 0.01, count: int = COUNT) -> Faithfulness:
    """Return values that differ from those of shift 0 by ``shift`` and a little noise."""
    common, own = np.random.default_rng(99).normal(size=count), np.random.default_rng(seed)
    values = {name: common + shift + noise * own.normal(size=count) for name in MEASURES}
    return Faithfulness(values, {name: np.zeros(21) for name in CURVES})


def make_up(patch: pytest.MonkeyPatch) -> None:
    """Leave out what takes seconds where only tables matter: values are made up, and nothing is drawn."""

    def measure(_: object, explanations: Iterable[str], images: np.ndarray, *__: Any, **___: Any) -> Measured:
        names = (*explanations, RANDOM, CENTRE)
        return {name: faithfulness_of(name != CENTRE, count=len(images)) for name in names}

    patch.setattr(faithfulness, "measure", measure)
    patch.setattr(Output, "figure", lambda *_, **__: None)


MEASURED = {
    "up": faithfulness_of(0.1, 1),
    "down": faithfulness_of(-0.1, 2),
    "same": faithfulness_of(0, 3),
    RANDOM: faithfulness_of(0, 4, 3),
    CENTRE: faithfulness_of(0),
}


def test_verdicts_come_from_paired_differences() -> None:
    rows = compare_with_centre(MEASURED)
    verdicts = {(row["method"], row["measure"]): row["verdict"] for row in rows}
    # the spread of the values, 1, hides a difference of 0.1, but not that of the pairs
    for measure, better in MEASURES.items():
        if measure != "sensitivity":
            assert verdicts["up", measure] == ("better" if better == "higher" else "worse")
            assert verdicts["down", measure] == ("worse" if better == "higher" else "better")
            assert verdicts["same", measure] == "alike"
        assert verdicts[CENTRE, measure] == ""
    assert verdicts["up", "sensitivity"] == ""
    for row in rows:
        assert row["low"] <= row["mean"] <= row["high"]
        assert row["gain_low"] <= row["gain"] <= row["gain_high"]
    gains = [row["gain"] for row in rows if (row["method"], row["measure"]) == ("up", "ROAD")]
    assert gains == pytest.approx([0.1], abs=0.01)


def test_markdown_says_what_follows() -> None:
    rows = compare_with_centre(MEASURED)
    text = faithfulness_markdown(rows, "title")
    row = next(row for row in rows if (row["method"], row["measure"]) == ("up", "ROAD"))
    assert f"| {row['mean']:.3f} [{row['low']:.3f}, {row['high']:.3f}] better |" in text
    up, _, same = (line for line in text.splitlines() if line.startswith("- "))  # no line for the references
    assert up.startswith(f"- up, of 6 measures: beats the {CENTRE} in 3 (insertion, black; ")
    compared = "; ".join(list(MEASURES)[:-1])
    assert same == f"- same, of 6 measures: is like the {CENTRE} in 6 ({compared})."


@pytest.fixture
def explainers(run: Run) -> list[Explainer]:
    network = network_of(Predictor(run))
    return [Explainer(network, name) for name in ("gradcam", "occlusion")]


def test_faithfulness_is_written(
    run: Run, explainers: list[Explainer], test_set: Selection, tmp_path: Path
) -> None:
    with Output(run, tmp_path / "out") as output:
        text = results.write_faithfulness(run, explainers, test_set.subset(range(IMAGES)), output)
    assert (output.folder / "faithfulness.md").read_text() == text
    with np.load(output.folder / "faithfulness.npz") as arrays:
        methods, measures = arrays["methods"].tolist(), arrays["measures"].tolist()
        assert methods == ["Grad-CAM", "Occlusion", RANDOM, CENTRE]
        assert arrays["scores"].shape == (4, len(MEASURES), IMAGES)
        assert arrays["curves"].shape == (4, len(CURVES), 21)
        for row in read_csv(output.folder / "faithfulness.csv"):
            values = arrays["scores"][methods.index(row["method"]), measures.index(row["measure"])]
            assert float(row["mean"]) == pytest.approx(values.mean())


def test_faithfulness_of_other_methods_is_kept(
    run: Run,
    explainers: list[Explainer],
    test_set: Selection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_up(monkeypatch)
    for folder in (None, tmp_path / "out"):  # the latter may hold another run's
        with Output(run, folder) as output:
            results.write_faithfulness(run, explainers[:1], test_set.subset(range(3)), output)
            results.write_faithfulness(run, explainers[1:], test_set.subset(range(IMAGES)), output)
        images = {row["method"]: row["images"] for row in read_csv(output.folder / "faithfulness.csv")}
        now = {"Occlusion": "4", RANDOM: "4", CENTRE: "4"}
        assert images == (now if folder else {**now, "Grad-CAM": "3"})
        said = results.known_faithfulness(output.folder, explainers[0])
        assert ("not yet compared" if folder else ", 3 test images (") in said


def test_another_table_is_no_faithfulness(run: Run, explainers: list[Explainer], tmp_path: Path) -> None:
    for text in ("method,layer,images\nGrad-CAM,,200\n", "", "\0"):
        (tmp_path / "faithfulness.csv").write_text(text)
        assert "not yet compared" in results.known_faithfulness(tmp_path, explainers[0])


def test_sanity_is_written(
    run: Run, explainers: list[Explainer], test_set: Selection, tmp_path: Path
) -> None:
    with Output(run, tmp_path / "out") as output:
        text = results.write_sanity(run, explainers, test_set.subset(range(IMAGES)), output)
    rows = read_csv(output.folder / "sanity.csv")
    assert len(rows) == 2 * 6
    assert [row["randomised_down_to"] for row in rows[:2]] == ["head", "stages.1.4"]
    assert all(float(row["low"]) <= float(row["rank_correlation"]) <= float(row["high"]) for row in rows)
    *_, last = text.splitlines()
    assert last.startswith("- Occlusion: rank correlation ")
    assert f"{float(rows[-1]['rank_correlation']):.2f} [{float(rows[-1]['low']):.2f}" in last
    integrated = [Explainer(explainers[0].network, "integrated-gradients")]
    with Output(run, tmp_path / "out") as output:
        text = results.write_sanity(run, integrated, test_set.subset(range(2)), output)
    assert text.startswith("Maps of Integrated gradients are 0 where the image is black")
