"""Comparisons: every number of page and tables recomputed from the predictions with reference libraries."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats
from sklearn import metrics as reference

from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.core.statistics import paired_all
from fmnist.evaluation import comparison_tables, published
from fmnist.evaluation.comparison import write_comparison
from fmnist.evaluation.comparison_tables import points
from fmnist.evaluation.groups import SeedGroup, collect
from tests.evaluation.made import make_run, on_data, predictions
from tests.evaluation.reading import Page, comparison

CNN, MLP = "fmnist.models.cnn.LitCNN", "fmnist.models.mlp.LitMLP"
CONFIGS = Path(__file__).parents[2] / "configs" / "published"


@pytest.fixture(scope="module")
def logs(synthetic_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    for name, seed, skill in (("cnn", 0, 4.0), ("cnn", 1, 4.0), ("lenet5", 0, 3.0)):
        make_run(folder, name, seed, **on_data(synthetic_root, seed + round(skill), skill))
    make_run(folder, "mlp", class_path=MLP, **on_data(synthetic_root, 9, 1.5))
    make_run(folder, "published-lenet5", val=0, **on_data(synthetic_root, 10, 3.0))
    write_comparison([folder], folder / "comparison", str(synthetic_root))
    return folder


@pytest.fixture(scope="module")
def page(logs: Path) -> Page:
    return Page((logs / "comparison" / "compare.html").read_text())


def first_seed(logs: Path, model: str) -> Run:
    """Return the run with the lowest seed."""
    return Run(logs / model / "version_0")


def right(logs: Path, model: str) -> np.ndarray:
    test = first_seed(logs, model).predictions("test")
    return test.logits.argmax(1) == test.labels


def test_results_are_recomputed_from_the_predictions(logs: Path, page: Page) -> None:
    rows = page.data["tables"]["results"]
    assert [row["seeds"] for row in rows if row["model"] == "cnn"] == ["0, 1"]
    for row in rows:
        tests = [Run(path.parent).predictions("test") for path in (logs / row["model"]).glob("*/run.json")]
        shares = [test.accuracy for test in tests]
        assert row["accuracy"] == pytest.approx(np.mean(shares), abs=1e-12)
        assert row["accuracy_sd"] == (pytest.approx(np.std(shares, ddof=1)) if len(tests) > 1 else None)
        means = np.mean([test.logits.argmax(1) == test.labels for test in tests], axis=0)
        expected = stats.bootstrap((means,), np.mean, method="percentile", rng=1).confidence_interval
        np.testing.assert_allclose((row["accuracy_low"], row["accuracy_high"]), expected, atol=0.006)
        for name, function in {
            "macro_f1": lambda test: reference.f1_score(test.labels, test.logits.argmax(1), average="macro"),
            "top2_accuracy": lambda test: reference.top_k_accuracy_score(test.labels, test.logits, k=2),
            "log_loss": lambda test: reference.log_loss(test.labels, test.probabilities),
        }.items():
            assert row[name] == pytest.approx(np.mean(list(map(function, tests))), abs=1e-9)


def test_pairs_are_recomputed_from_the_predictions(logs: Path, page: Page) -> None:
    pairs = paired_all({model: right(logs, model) for model in ("cnn", "lenet5", "published-lenet5", "mlp")})
    rows = [{key: row[key] for key in row if key != "sentence"} for row in page.data["tables"]["pairs"]]
    assert sorted(rows, key=str) == sorted(pairs, key=str)
    differences = [row["difference"] for row in rows]
    assert differences == sorted(differences, reverse=True)


def test_confusions_agreement_and_f1_are_recomputed_from_the_predictions(logs: Path, page: Page) -> None:
    tests = {
        model: first_seed(logs, model).predictions("test") for model in page.data["confusions"]["counts"]
    }
    for model, counts in page.data["confusions"]["counts"].items():
        expected = reference.confusion_matrix(tests[model].labels, tests[model].logits.argmax(1))
        np.testing.assert_array_equal(counts, expected)
    shares = page.data["matrices"]["agreement"]
    for i, one in enumerate(shares["rows"]):
        for j, other in enumerate(shares["columns"]):
            same = tests[one].logits.argmax(1) == tests[other].logits.argmax(1)
            assert shares["values"][i][j] == pytest.approx(same.mean())
    row = next(row for row in page.data["tables"]["class_f1"] if row["model"] == "cnn")
    both = (Run(logs / "cnn" / version).predictions("test") for version in ("version_0", "version_1"))
    scores = [reference.f1_score(test.labels, test.logits.argmax(1), average=None) for test in both]
    np.testing.assert_allclose([row[name] for name in CLASSES], np.mean(scores, axis=0))


def test_what_is_printed_is_what_the_data_say(logs: Path, page: Page) -> None:
    for name, rows in page.data["tables"].items():
        assert len(page.tables[name]) == len(rows) + 1
        with (logs / "comparison" / f"{name}.csv").open(newline="") as file:
            key = "sentence" if name == "pairs" else "model"
            assert [line[key] for line in csv.DictReader(file)] == [row[key] for row in rows]
        assert (logs / "comparison" / f"{name}.md").read_text().count("\n|") == len(rows) + 2
    row = page.data["tables"]["results"][0]
    assert page.tables["results"][1][1:3] == [
        f"{row['accuracy']:.4f} ± {row['accuracy_sd']:.4f}",
        f"{row['accuracy_low']:.4f}–{row['accuracy_high']:.4f}",
    ]
    wrong = ~np.any([right(logs, model) for model in ("cnn", "lenet5", "mlp", "published-lenet5")], axis=0)
    assert f"Every model is wrong: {wrong.sum()} of 200 images" in " ".join(page.texts)


def test_the_opening_answers_whether_the_cnn_beats_the_mlp(logs: Path, page: Page) -> None:
    text = " ".join(" ".join(page.texts).split())
    one, other = right(logs, "cnn"), right(logs, "mlp")
    for sentence in (
        "Does cnn beat mlp? Yes:",
        f"cnn gets {100 * one.mean():.2f} % of the test images right and mlp {100 * other.mean():.2f} %",
        f"{100 * (one.mean() - other.mean()):+.2f} points, 95 %",
        "By class, in points of recall: cnn finds more of",
        "The most accurate model is cnn",
    ):
        assert sentence in text


@pytest.mark.parametrize(
    ("runs", "sentences"),
    [
        (
            {"cnn": (3, CNN, 2.0), "mlp": (4, MLP, 2.0)},
            ["Does cnn beat mlp? The difference is not significant:",
             "On no single class is the difference significant."],
        ),
        (
            {"wide": (0, MLP, 3.0), "deep": (0, CNN, 1.0), "deeper": (0, CNN, 1.5)},
            ["Does deeper beat wide? No:"],
        ),
    ],
    ids=["no significant difference", "best of each family"],
)  # fmt: skip
def test_the_opening_compares_a_convolutional_and_a_fully_connected_model(
    tmp_path: Path, runs: dict[str, tuple[int, str, float]], sentences: list[str]
) -> None:
    for name, (seed, class_path, skill) in runs.items():
        make_run(tmp_path, name, seed=seed, class_path=class_path, skill=skill)
    text = " ".join(" ".join(comparison(tmp_path).texts).split())
    assert all(sentence in text for sentence in sentences)


def test_the_opening_has_the_interval_of_the_table(tmp_path: Path) -> None:
    """Bootstrapped in the other order, the limits would be a little different."""
    for name, class_path, skill in (("wide", MLP, 2.2), ("deep", CNN, 2.0)):
        make_run(tmp_path, name, skill=skill, class_path=class_path)
    page = comparison(tmp_path)
    (row,) = page.data["tables"]["pairs"]
    assert row["better"] == "wide"
    text = " ".join(" ".join(page.texts).split())
    limits = f"95 % {points(-row['high'])} to {points(-row['low'])}"
    assert f"{points(-row['difference'])} points, {limits}" in text


def test_names_are_escaped_and_nothing_comes_from_outside(tmp_path: Path) -> None:
    make_run(tmp_path, "</script><script>alert(1)</script>")
    make_run(tmp_path, "<img src=x onerror=alert(2)>", skill=1.0)
    page = comparison(tmp_path)
    html = (tmp_path / "out" / "compare.html").read_text()
    assert not re.search("<script>alert|<img src=x", html)
    assert [tag for tag, _ in page.elements].count("script") == 4  # theme, data, Plotly, ours
    traces = [trace for chart in page.data["charts"].values() for trace in chart["data"]]
    assert "<" not in str([trace.get("name") for trace in traces])
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            assert re.match(r"(data:|#|$)", attributes.get(name) or ""), (tag, attributes)
    policy = next(values["content"] for _, values in page.elements if values.get("http-equiv"))
    assert str(policy).startswith("default-src 'none'")
    assert "Licensed under the MIT license" in html  # of Plotly
    assert "<script>" not in (tmp_path / "out" / "results.md").read_text()


def test_mixed_runs_are_compared_only_with_a_warning(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_run(tmp_path, name)
    make_run(tmp_path, "other", test=predictions(0, size=100))
    page = comparison(tmp_path, allow_mixed=True)
    text = " ".join(page.texts)
    assert "different test images" in text
    assert "left out of pairs, images and agreement, for other test images: other" in text
    assert len(page.data["tables"]["pairs"]) == 1


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_run(tmp_path / "logs", name)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(InputError, match=r"--output .*out: cannot be written"):
        write_comparison([tmp_path / "logs"], tmp_path / "out", str(tmp_path))


@pytest.fixture
def groups(tmp_path: Path) -> list[SeedGroup]:
    for seed in range(3):
        make_run(tmp_path, "cnn", seed, skill=3.0)
    make_run(tmp_path, "published-mlp", skill=1.5, class_path=MLP, val=0)
    return collect([tmp_path])[0]


def test_results_hold_costs_as_recorded_and_the_time_that_evaluation_measured(
    groups: list[SeedGroup],
) -> None:
    path = groups[0].results[1].run.path / "metrics.json"
    for speed, expected in (({"ms_per_image": 0.25}, 0.25), (None, None)):
        path.write_text(json.dumps({"speed": speed}))
        table = comparison_tables.results_table(groups)
        row = table.rows[0]
        assert row["ms_per_image"] == expected
    assert (row["parameters"], row["multiply_adds"], row["train_seconds"]) == (61706, 423400, 125.0)
    cells = {column.heading: column.cell(row) for column in table.columns}
    assert (cells["multiply-adds"], cells["training"], cells["file"]) == ("0.42 M", "2.1 min", "0.2 MB")


def test_the_gap_is_taken_at_the_tested_epoch(groups: list[SeedGroup]) -> None:
    row = comparison_tables.gaps_table(groups).rows[0]
    assert (row["epoch"], row["train"], row["val"]) == (2, 0.65, 0.62)
    assert row["gap"] == pytest.approx(0.03)


@pytest.mark.parametrize("curves", ["epoch,train/accuracy\n0,nan\n", None])
def test_a_run_without_curves_has_no_gap(groups: list[SeedGroup], curves: str | None) -> None:
    path = groups[0].first_seed.run.path / "metrics.csv"
    path.write_text(curves) if curves else path.unlink()
    assert comparison_tables.gaps_table(groups).rows[0]["model"] == "published-mlp"


def test_pair_sentences_say_whether_a_difference_is_significant() -> None:
    pair = {"better": "a", "worse": "b", "difference": 0.0042, "low": 0.001, "high": 0.007, "p_holm": 0.01}
    assert comparison_tables.pair_sentence(pair) == (
        "a is better than b: +0.42 points (95 % +0.10 to +0.70), p = 0.010"
    )
    assert comparison_tables.pair_sentence({**pair, "low": -0.003, "p_holm": 0.7}) == (
        "no significant difference between a and b: +0.42 points (95 % −0.30 to +0.70), p = 0.700"
    )
    assert comparison_tables.points(-0.00001) == "0.00"
    assert comparison_tables.p_text(0.00099) == "p < 0.001"


def test_published_accuracies_are_listed_beside_ours(groups: list[SeedGroup]) -> None:
    cnn, mlp = comparison_tables.published_table(groups).rows
    assert (cnn["model"], cnn["list"]) == ("cnn", "records")
    assert (mlp["published"], mlp["list"], mlp["ours"]) == (0.85, "reports", groups[1].accuracy)
    assert mlp["verdict"].startswith("missed by")
    for path in CONFIGS.glob("*.yaml"):
        assert published.find(yaml.safe_load(path.read_text())["name"]) in published.REPORTS.values(), path
    assert published.find("published_random_forest") is published.REPORTS["published-random-forest"]
    assert published.find("my-model") is None
    assert published.verdict(0.8953, 0.8953) == "met"
    assert published.verdict(0.9122, 0.9204) == "missed by 0.82 points"
    assert published.verdict(0.85, None) == "no accuracy given"


def test_a_model_of_few_training_images_is_not_judged_by_published_ones(tmp_path: Path) -> None:
    run = make_run(tmp_path, "cnn")
    config = yaml.safe_load((run.path / "config.yaml").read_text())
    for size, judged in ((None, 1), (2_000, 0)):
        config["data"]["train_size"] = size
        (run.path / "config.yaml").write_text(yaml.safe_dump(config))
        assert len(comparison_tables.published_table(collect([run.path])[0]).rows) == judged


def test_the_table_of_runs_says_how_each_was_made(tmp_path: Path) -> None:
    of_fold = make_run(tmp_path, "a")
    of_fold.update(split={**of_fold.record["split"], "fold": 2})
    bare = make_run(tmp_path, "b", skill=0.0)
    for key in ("git_commit", "versions", "hardware", "split", "command", "parameters", "train_seconds"):
        bare.record.pop(key)
    bare.update()
    tables, _ = write_comparison([tmp_path], tmp_path / "out", str(tmp_path), allow_mixed=True)
    cells, of_bare = (
        {column.heading: column.cell(row) for column in tables["runs"].columns} for row in tables["runs"].rows
    )
    assert (cells["commit"], cells["images"]) == ("0123456789-dirty", "540 + 60, fold 2")
    assert cells["hardware"] == "Some Processor, 2 cores"
    assert cells["versions"] == "python 3.11.7, torch 2.15.0"
    assert len(cells["data"]) == 12
    assert [of_bare[name] for name in ("commit", "images", "hardware")] == ["–", "? + ?", "? cores"]


def test_seeds_of_one_model_are_compared_by_mean_and_deviation(tmp_path: Path) -> None:
    shares = [make_run(tmp_path, "cnn", seed, skill=3.0).predictions("test").accuracy for seed in range(3)]
    page = comparison(tmp_path)
    (row,) = page.data["tables"]["results"]
    assert (row["seeds"], row["accuracy"]) == ("0, 1, 2", pytest.approx(np.mean(shares)))
    assert row["accuracy_sd"] == pytest.approx(np.std(shares, ddof=1))
    text = " ".join(" ".join(page.texts).split())
    mean = f"{np.mean(shares):.4f} ± {np.std(shares, ddof=1):.4f} over 3 seeds"
    assert f"cnn has a test accuracy of {mean}." in text
    assert "1 model on Fashion-MNIST" in text
    assert "Comparison of 3 runs on 300 test images" in text
    column = page.tables["runs"][0].index("accuracy")
    assert [line[column] for line in page.tables["runs"][1:]] == [f"{share:.4f}" for share in shares]
    sections = {values.get("id") for tag, values in page.elements if tag == "section"}
    links = {str(values.get("href"))[1:] for tag, values in page.elements if tag == "a"}
    assert not sections & {"differences", "confusions", "images"}
    assert links - {"content"} <= sections


def test_counts_agree_with_what_they_count(tmp_path: Path) -> None:
    for name, skill in (("cnn", 4.0), ("mlp", 1.0)):
        make_run(tmp_path, name, skill=skill, hardware={"processor": "Some Processor", "cores": 1})
    html = " ".join((" ".join(comparison(tmp_path).texts)).split())
    assert "The more accurate model is cnn" in html
    assert "It is significantly better than mlp." in html
    assert "2 models on Fashion-MNIST" in html
    assert "McNemar’s exact test, and a paired bootstrap" in html  # one pair needs no correction
    assert "of 2 best credible accuracies known." in html
    for path in (tmp_path / "out").glob("*.md"):
        html += path.read_text()
    assert not re.search(r"(?<![\d.,])1 (models|runs|others|pairs|cores|seeds|images|epochs|classes)\b", html)
