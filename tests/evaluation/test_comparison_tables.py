"""Tables of a comparison, recomputed with reference libraries."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as reference

from fmnist.core.constants import CLASSES
from fmnist.evaluation import comparison_tables
from fmnist.evaluation.collection import Group, collect
from tests.evaluation.made import make_run, predictions

MLP = "fmnist.models.mlp.LitMLP"


@pytest.fixture
def groups(tmp_path: Path) -> list[Group]:
    for seed in range(3):
        make_run(tmp_path, "cnn", seed, skill=3.0)
    make_run(tmp_path, "published-mlp", skill=1.5, class_path=MLP, val=0)
    return collect([tmp_path])[0]


def test_results_are_means_over_the_seeds(groups: list[Group]) -> None:
    cnn, mlp = comparison_tables.results(groups).rows
    tests = [member.test for member in groups[0].members]
    accuracies = [test.accuracy for test in tests]
    assert (cnn["model"], cnn["runs"], cnn["seeds"]) == ("cnn", 3, "0, 1, 2")
    assert cnn["accuracy"] == pytest.approx(np.mean(accuracies))
    assert cnn["accuracy_sd"] == pytest.approx(np.std(accuracies, ddof=1))
    scores = [reference.f1_score(test.labels, test.logits.argmax(1), average="macro") for test in tests]
    assert cnn["macro_f1"] == pytest.approx(np.mean(scores))
    losses = [reference.log_loss(test.labels, test.probabilities) for test in tests]
    assert cnn["log_loss"] == pytest.approx(np.mean(losses))
    assert mlp["accuracy_sd"] is None
    assert mlp["accuracy_low"] < mlp["accuracy"] < mlp["accuracy_high"]
    assert (cnn["size_bytes"], cnn["train_seconds"], cnn["ms_per_image"]) == (250_000, 125.0, None)
    table = comparison_tables.results(groups)
    assert table.columns[1].cell(cnn) == f"{cnn['accuracy']:.4f} ± {cnn['accuracy_sd']:.4f}"


def test_time_per_image_is_what_evaluation_left(groups: list[Group]) -> None:
    folder = groups[0].members[1].run.path
    (folder / "metrics.json").write_text(json.dumps({"speed": {"ms_per_image": 0.25}}))
    assert comparison_tables.results(groups).rows[0]["ms_per_image"] == 0.25
    (folder / "metrics.json").write_text(json.dumps({"speed": None}))
    assert comparison_tables.results(groups).rows[0]["ms_per_image"] is None


def test_decision_scores_have_no_log_loss_and_bare_decisions_no_second_class(tmp_path: Path) -> None:
    make_run(tmp_path, "svm", scores="decision scores")
    make_run(tmp_path, "voting", scores="decisions")
    rows = {row["model"]: row for row in comparison_tables.results(collect([tmp_path])[0]).rows}
    assert rows["svm"]["log_loss"] is rows["svm"]["calibration_error"] is None
    assert rows["svm"]["top2_accuracy"] is not None
    assert rows["voting"]["top2_accuracy"] is None


def test_the_size_is_the_recorded_one_or_the_checkpoints(tmp_path: Path) -> None:
    make_run(tmp_path, "a")
    make_run(tmp_path, "b", size_bytes=7)
    (make_run(tmp_path, "c").path / "checkpoints" / "best.ckpt").unlink()
    rows = {row["model"]: row for row in comparison_tables.results(collect([tmp_path])[0]).rows}
    assert [rows[name]["size_bytes"] for name in "abc"] == [250_000, 7, None]


def test_class_f1_is_scikit_learns_mean_over_seeds(groups: list[Group]) -> None:
    row = comparison_tables.class_f1(groups).rows[0]
    scores = [
        reference.f1_score(member.test.labels, member.predicted, average=None) for member in groups[0].members
    ]
    np.testing.assert_allclose([row[name] for name in CLASSES], np.mean(scores, axis=0))


def test_pairs_are_in_order_and_in_words(groups: list[Group]) -> None:
    (row,) = comparison_tables.pairs(groups).rows
    assert (row["better"], row["worse"]) == ("cnn", "published-mlp")
    assert row["sentence"].startswith("cnn is better than published-mlp: +")


def test_only_models_on_the_same_images_are_paired(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_run(tmp_path, name)
    make_run(tmp_path, "other", test=predictions(0, size=100))
    groups, _, _ = collect([tmp_path], allow_mixed=True)
    assert {group.label for group in comparison_tables.comparable(groups)} == {"a", "b"}


def test_the_gap_is_taken_at_the_tested_epoch(groups: list[Group]) -> None:
    row = comparison_tables.gaps(groups).rows[0]
    assert (row["epoch"], row["train"], row["val"]) == (2, 0.65, 0.62)
    assert row["gap"] == pytest.approx(0.03)
    (groups[0].lead.run.path / "metrics.csv").write_text("epoch,train/accuracy\n0,nan\n")
    assert comparison_tables.gaps(groups).rows[0]["model"] == "published-mlp"
    (groups[0].lead.run.path / "metrics.csv").unlink()
    assert comparison_tables.curves(groups[0].lead) == {}


def test_published_figures_stand_beside_ours(groups: list[Group]) -> None:
    rows = {row["model"]: row for row in comparison_tables.published_figures(groups).rows}
    assert (rows["published-mlp"]["published"], rows["published-mlp"]["list"]) == (0.85, "reports")
    assert rows["published-mlp"]["ours"] == groups[1].accuracy
    assert rows["published-mlp"]["verdict"].startswith("missed by")
    assert rows["cnn"]["list"] == "records"


def test_provenance_names_every_run(groups: list[Group]) -> None:
    table = comparison_tables.provenance(groups)
    assert len(table.rows) == 4
    cells = {column.heading: column.cell(table.rows[0]) for column in table.columns}
    assert cells["commit"] == "0123456789-dirty"
    assert cells["hardware"] == "Some Processor, 2 cores"
    assert cells["versions"] == "python 3.11.7, torch 2.15.0"
    assert cells["images"] == "540 + 60"
    assert len(cells["data"]) == 12


def test_a_run_with_a_bare_record_is_shown_with_dashes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        run = make_run(tmp_path, name)
        for key in ("git_commit", "versions", "hardware", "split", "command", "parameters", "train_seconds"):
            run.record.pop(key)
        run.update()
    groups, _, _ = collect([tmp_path])
    row = comparison_tables.provenance(groups).rows[0]
    assert (row["commit"], row["split"], row["hardware"]) == (None, "? + ?", "? cores")
    assert comparison_tables.results(groups).rows[0]["parameters"] is None
