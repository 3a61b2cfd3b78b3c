"""The page of a study, the seeds beside it, and the end of a search on the test set."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.studies import finish as finishing
from fmnist.studies.entries import Entry, groups_of, spreads_of
from fmnist.studies.search import Search
from fmnist.studies.study_charts import learning_curves
from fmnist.studies.study_page import Searched, write_page
from tests.browser import drawn, new_page
from tests.evaluation.made import make_run, on_data
from tests.studies.conftest import QuickStudy, call


def data_of(page: Path) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)
    assert found
    return json.loads(found[1])


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    """Trials of a search: finished, pruned and failed ones, a conditional value, a list, a name to escape."""
    runs = [make_run(tmp_path, "cnn", seed) for seed in range(2)]
    (runs[0].path / "report.html").write_text("")
    values = [(0.01, "adam", None), (0.1, "<muon>", 0.9), (0.03, "adam", None), (0.5, "<muon>", 0.8)]
    states = ["finished", "finished", "pruned", "failed"]
    return [
        Entry(
            number,
            {"model.learning_rate": rate, "model.optimizer": name}
            | ({} if momentum is None else {"model.momentum": momentum}),
            states[number],
            None if states[number] == "failed" else 0.8 + number / 100,
            runs[number] if number < 2 else None,
            {} if states[number] == "failed" else {0: 0.5, 1: 0.6},
            "the loss was nan" if states[number] == "failed" else "",
        )
        for number, (rate, name, momentum) in enumerate(values)
    ]


def write(folder: Path, entries: list[Entry], maximise: bool = True) -> Path:
    searched = Searched("val/accuracy", maximise, {"model.learning_rate": 0.7, "model.optimizer": 0.3})
    tested = [
        Entry(n, {"setting": "best", "seed_everything": n}, "finished", 0.9 + n / 100) for n in range(3)
    ]
    sentences = spreads_of(groups_of(tested))
    return write_page(folder, "study --resume x", entries, searched, tested, sentences)


def test_the_best_run_is_first_and_leads_to_its_report(entries: list[Entry], tmp_path: Path) -> None:
    page = write(tmp_path / "study", entries)
    rows = data_of(page)["tables"]["trials"]
    assert [row["number"] for row in rows] == [1, 0, 2, 3]
    assert [row["report"] for row in rows] == [
        "../cnn/version_1/run.json",
        "../cnn/version_0/report.html",
        None,
        None,
    ]
    text = page.read_text()
    assert '<a href="../cnn/version_0/report.html">0</a>' in text
    assert "The best trial is number 1, with a val/accuracy of 0.8100: model.learning_rate 0.1" in text
    assert "1 trial failed (number 3: the loss was nan)" in text
    assert "&lt;muon&gt;" in text
    assert "<muon>" not in text
    lowest = write(tmp_path / "study", entries, maximise=False)
    assert [row["number"] for row in data_of(lowest)["tables"]["trials"]] == [0, 1, 2, 3]


def test_the_seeds_are_dots_with_their_mean_and_interval(entries: list[Entry], tmp_path: Path) -> None:
    page = write(tmp_path, entries)
    dots, mean = data_of(page)["charts"]["repetitions"]["data"]
    assert dots["x"] == [0.9, 0.91, 0.92]
    assert mean["x"] == [0.91]
    assert mean["error_x"]["array"] == [pytest.approx(4.302653 * 0.01 / 3**0.5, abs=1e-5)]  # t of 2 degrees
    assert "<p>best: test accuracy 0.9100 ± 0.0100 over 3 seeds, 95 % 0.8852 to 0.9348." in page.read_text()


def test_the_mean_of_seeds_leads_and_one_seed_alone_is_named(tmp_path: Path) -> None:
    runs = [Entry(number, {"seed_everything": number}, "finished", 0.9 + number / 100) for number in (0, 1)]
    for few in (runs, runs[:1]):
        sentences = spreads_of(groups_of(few))
        text = write_page(tmp_path, "again", few, repeated=few, sentences=sentences).read_text()
        assert text.count("Test accuracy 0.9050") == len(sentences) == len(few) - 1
        assert ("The best run is number 0" in text) == (not sentences)


def test_a_run_without_values_of_its_own_leads_with_its_accuracy(tmp_path: Path) -> None:
    text = write_page(tmp_path, "again", [Entry(0, {}, "finished", 0.9)]).read_text()
    assert "The best run is number 0, with a test accuracy of 0.9000.<" in text


@pytest.mark.parametrize(("epochs", "marks_each"), [(12, True), (40, False)])
def test_few_epochs_are_marked_one_by_one(epochs: int, marks_each: bool) -> None:
    entry = Entry(0, {}, "finished", 0.9, curve=dict.fromkeys(range(epochs), 0.5))
    layout = learning_curves([entry], "val/accuracy", 0)["layout"]
    assert ("dtick" in layout["xaxis"]) == marks_each


def test_one_seed_has_no_interval() -> None:
    assert spreads_of({"": [Entry(0, {}, "finished", 0.9)]}) == []


def test_the_page_is_drawn_in_a_browser(browser: Any, entries: list[Entry], tmp_path: Path) -> None:
    address = write(tmp_path, entries).as_uri()
    complaints: list[str] = []
    page = new_page(browser, complaints, color_scheme="dark")
    page.goto(address)
    assert drawn(page) == 7  # seeds, history, importance, parallel coordinates, three slices
    page.get_by_role("tab", name="Learning curves").click()
    assert drawn(page) == 7
    assert complaints == []
    page.close()


def test_a_study_of_one_trial_and_one_without_any_have_a_page(entries: list[Entry], tmp_path: Path) -> None:
    searched = Searched("val/accuracy", True, {})
    for few, words in (([], "No run is"), (entries[:1], "at least four"), (entries[3:], "No run is")):
        page = write_page(tmp_path, "again", few, searched)
        assert f"{words} finished" in page.read_text()
    lists = [dataclasses.replace(entry, values={"x": '["<hog>", {"pca": 200}]'}) for entry in entries[:2]]
    drawn_charts = str(data_of(write_page(tmp_path, "again", lists, searched))["charts"])
    assert "&lt;hog&gt;, pca: 200" in drawn_charts
    assert "&quot;" not in drawn_charts
    without = [dataclasses.replace(entry, values={"ema": None}) for entry in entries[:2]]
    page = write_page(tmp_path, "again", without, searched)
    assert "none" in str(data_of(page)["charts"]["parallel"])


def test_the_end_of_a_search_compares_the_best_with_the_default(
    quick: QuickStudy,
    synthetic_root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def run_jobs(jobs: Any, *rest: Any) -> list[Run | None]:
        asked.extend(jobs)
        runs: list[Run | None] = []
        for job in jobs:
            is_best = job.values["setting"] != "default"
            seed = job.values["seed_everything"]
            made = on_data(synthetic_root, seed, 3.0 if is_best else 1.0)
            run = make_run(quick.root / "logs", "best" if is_best else "quick", seed, **made)
            accuracy = run.predictions("test").accuracy
            run.update(metrics={"test": {"accuracy": accuracy}})
            runs.append(run)
        return runs

    monkeypatch.setattr(finishing, "run_jobs", run_jobs)
    assert call(quick.arguments("--trials", 2, "--finish", 3)) == 0
    printed = capsys.readouterr().out
    assert [job.values for job in asked[::3]] == [
        {"setting": asked[0].values["setting"], "seed_everything": 0},
        {"setting": "default", "seed_everything": 0},
    ]
    best = max(quick.trials(), key=lambda trial: trial.value or 0)
    command = asked[0].command
    assert float(command[command.index("--x") + 1]) == best.params["x"]
    assert command[command.index("--test") + 1] == "true"
    assert re.search(rf"Trial {best.number}: test accuracy 0\.\d+ ± 0\.\d+ over 3 seeds, 95 % ", printed)
    assert re.search(r"Difference over seeds, paired by seed: \+\d+\.\d+ points, 95 % ", printed)
    assert "With the same seed and test images: best is better than quick: " in printed
    page = (quick.folder / "study.html").read_text()
    assert "Difference over seeds" in page
    assert (quick.folder / "comparison" / "compare.html").exists()
    assert call(["--resume", str(quick.folder), "--trials", "3"]) == 0
    assert "Difference over seeds" in (quick.folder / "study.html").read_text()


def test_a_search_that_cannot_be_finished_says_why(
    quick: QuickStudy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reason(*flags: object) -> str:
        assert call(quick.arguments("--finish", 2, *flags)) == 1
        return capsys.readouterr().err

    assert reason("--trials", 2, "--fail", 0) == "--finish: no trial is finished\n"
    monkeypatch.setattr(finishing, "run_jobs", lambda jobs, *rest: [None for job in jobs])
    again = "--finish: a run failed; the same command goes on from here\n"
    assert reason("--trials", 1, "--study", "runs-fail") == again
    begin = Search.run

    def beside_another_process(search: Search) -> None:
        begin(search)
        search.study.ask()

    monkeypatch.setattr(Search, "run", beside_another_process)
    assert reason("--trials", 1, "--study", "shared") == (
        "--finish: other processes still run trials; repeat the command when they are done\n"
    )


def test_a_run_without_a_test_accuracy_ends_the_finish(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, "cnn", seed, metrics={"test": {"accuracy": 0.9}}) for seed in range(2)]
    runs[1].update(metrics={"test": {"accuracy": None}})
    with pytest.raises(InputError, match=r"version_1: its run\.json holds no test accuracy; remove it"):
        finishing.sentences_of({"Trial 0": runs[:1], "The default": runs[1:]})


def test_finished_runs_without_a_result_are_not_the_best(tmp_path: Path) -> None:
    untested = Entry(0, {"seed_everything": 0}, "finished", None, make_run(tmp_path, "cnn"))
    page = write_page(tmp_path / "study", "again", [untested])
    assert "No run has a test accuracy." in page.read_text()
