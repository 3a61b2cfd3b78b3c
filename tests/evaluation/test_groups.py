"""Which runs are compared, and which are refused."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from fmnist.core.errors import InputError
from fmnist.core.runs import Predictions, Run
from fmnist.evaluation.groups import SeedGroup, collect, find_runs
from fmnist.evaluation.results import RunResult
from tests.evaluation.made import make_run, predictions


def labels(groups: list[SeedGroup]) -> list[str]:
    return [group.label for group in groups]


def test_logs_mean_every_finished_run_and_a_name_its_newest(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, "cnn", seed) for seed in range(2)] + [make_run(tmp_path, "mlp")]
    Run.create(tmp_path, "cnn")
    make_run(tmp_path, "mlp", 1).finish("failed")
    every, skipped = find_runs([tmp_path])
    assert {run.path for run in every} == {run.path for run in runs}
    assert [line.partition(": ")[2] for line in skipped] == [
        "is running, not finished",
        "is failed, not finished",
    ]
    newest, _ = find_runs([tmp_path / "cnn", tmp_path / "mlp"])
    assert [run.path.parent.name for run in newest] == ["cnn", "mlp"]
    assert newest[0].path.name == "version_1"
    same, _ = find_runs([runs[0].path, f"{runs[0].path}/../version_0"])
    assert len(same) == 1


def test_an_unfinished_run_is_skipped_with_a_line_even_when_named(tmp_path: Path) -> None:
    finished, running = make_run(tmp_path), Run.create(tmp_path, "cnn")
    _, skipped = find_runs([finished.path, running.path])
    assert skipped == [f"skipped {running.path}: is running, not finished"]


def test_a_damaged_record_below_logs_is_skipped_with_a_line(tmp_path: Path) -> None:
    make_run(tmp_path)
    (make_run(tmp_path, "mlp").path / "run.json").write_text("{")
    runs, skipped = find_runs([tmp_path])
    assert len(runs) == 1
    assert "run.json: is damaged" in skipped[0]


def test_nothing_to_compare_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        find_runs([tmp_path])
    with pytest.raises(InputError, match="is no run folder"):
        find_runs([tmp_path / "nowhere"])
    Run.create(tmp_path, "cnn")
    with pytest.raises(InputError, match=r"(?s)no finished run.*is running"):
        find_runs([tmp_path])


GOOD = predictions(0, size=20)


@pytest.mark.parametrize(
    ("fault", "damaged"),
    [
        ("no images", Predictions(GOOD.logits[:0], GOOD.labels[:0], GOOD.indices[:0])),
        ("logits (20, 9)", Predictions(GOOD.logits[:, :9], GOOD.labels, GOOD.indices)),
        ("indices (5,)", Predictions(GOOD.logits, GOOD.labels, GOOD.indices[:5])),
        ("not numbers", Predictions(np.full_like(GOOD.logits, np.nan), GOOD.labels, GOOD.indices)),
        ("without any number", Predictions(np.full_like(GOOD.logits, -np.inf), GOOD.labels, GOOD.indices)),
        ("labels from 0 to 10", Predictions(GOOD.logits, GOOD.labels + (GOOD.labels == 9), GOOD.indices)),
        ("images twice", Predictions(GOOD.logits, GOOD.labels, GOOD.indices // 2)),
    ],
)
def test_damaged_predictions_are_refused(tmp_path: Path, fault: str, damaged: Predictions) -> None:
    run = make_run(tmp_path)
    run.save_predictions("test", damaged)
    with pytest.raises(InputError, match=r"test\.npz: is damaged") as error:
        run.predictions("test")
    assert fault in str(error.value)


def test_seeds_of_one_recipe_are_grouped_by_rising_seed(tmp_path: Path) -> None:
    for seed in (2, 0, 1):
        make_run(tmp_path, "cnn", seed)
    make_run(tmp_path, "mlp", skill=0.5)
    groups, skipped, warnings = collect([tmp_path])
    assert (labels(groups), skipped, warnings) == (["cnn", "mlp"], [], [])
    assert [result.seed for result in groups[0].results] == [0, 1, 2]
    assert groups[0].first_seed.seed == 0
    accuracies = [result.right.mean() for result in groups[0].results]
    assert groups[0].accuracy == pytest.approx(np.mean(accuracies))


def test_of_two_runs_of_one_seed_the_newer_counts(tmp_path: Path) -> None:
    older, newer = make_run(tmp_path), make_run(tmp_path, skill=3.0)
    groups, skipped, _ = collect([tmp_path])
    assert [result.run.path for result in groups[0].results] == [newer.path]
    assert skipped == [f"skipped {older.path}: {newer.path} repeats it, and is newer"]


def test_another_recipe_under_the_same_name_is_another_group(tmp_path: Path) -> None:
    make_run(tmp_path)
    other = make_run(tmp_path, seed=1)
    (other.path / "config.yaml").write_text("seed_everything: 1\ntrainer: {max_epochs: 50}\n")
    groups, _, _ = collect([tmp_path])
    assert sorted(labels(groups)) == ["cnn/version_0", "cnn/version_1"]


@pytest.mark.parametrize(
    ("same", "other"),
    [
        (({"val_size": 60}, {"val_size": 60, "train_size": None}), {"val_size": 60, "train_size": 100}),
        (({}, {"augmentation": None}, {"augmentation": {"flip": False}}), {"augmentation": {"flip": True}}),
        (({"flip": True}, {"flip": True, "shear": 0.0, "spare": 0.0}), {"flip": True, "shear": 0.1}),
    ],
    ids=["data", "augmentation", "augmentation of older runs"],
)
def test_a_setting_at_its_default_is_the_same_as_none(
    tmp_path: Path, same: tuple[dict[str, object], ...], other: dict[str, object]
) -> None:
    for seed, data in enumerate((*same, other)):
        (make_run(tmp_path, seed=seed).path / "config.yaml").write_text(yaml.safe_dump({"data": data}))
    groups, _, _ = collect([tmp_path], allow_mixed=True)
    seeds = sorted([result.seed for result in group.results] for group in groups)
    assert seeds == [list(range(len(same))), [len(same)]]


def test_labels_are_unique_across_folders(tmp_path: Path) -> None:
    for folder, epochs in (("one", 1), ("two", 2)):
        run = make_run(tmp_path / folder)
        (run.path / "config.yaml").write_text(f"trainer: {{max_epochs: {epochs}}}")
    groups, _, _ = collect([tmp_path / "one", tmp_path / "two"])
    assert sorted(labels(groups)) == [str(tmp_path / name / "cnn" / "version_0") for name in ("one", "two")]


def refused(paths: list[Path]) -> str:
    with pytest.raises(InputError) as error:
        collect(paths)
    assert "--allow-mixed" in str(error.value)
    _, _, warnings = collect(paths, allow_mixed=True)
    assert len(warnings) == 1
    return warnings[0]


def test_other_data_are_not_compared_silently(tmp_path: Path) -> None:
    one = make_run(tmp_path)
    other = make_run(tmp_path, "mlp", data_sha256={"t10k-images-idx3-ubyte": "ffff"})
    warning = refused([tmp_path])
    assert warning.startswith("different data")
    assert str(one.path) in warning
    assert str(other.path) in warning


def test_other_test_images_are_not_compared_silently(tmp_path: Path) -> None:
    make_run(tmp_path)
    make_run(tmp_path, "mlp", test=predictions(0, size=200))
    assert refused([tmp_path]).startswith("different test images")


def test_other_splits_are_not_compared_silently(tmp_path: Path) -> None:
    make_run(tmp_path)
    make_run(tmp_path, "mlp", split={"split_seed": 1, "train": 540, "val": 60, "test": 300})
    assert refused([tmp_path]) == (
        f"different splits: {tmp_path}/cnn/version_0 (540 training and 60 validation images, split seed 0) "
        f"against {tmp_path}/mlp/version_0 (540 training and 60 validation images, split seed 1)"
    )


def test_a_part_of_the_training_set_is_another_split(tmp_path: Path) -> None:
    make_run(tmp_path, "cnn")
    make_run(tmp_path, "mlp", split={"split_seed": 0, "train": 100, "val": 60, "test": 300})
    assert "100 training" in refused([tmp_path])


def test_runs_trained_on_all_images_go_with_any_split(tmp_path: Path) -> None:
    make_run(tmp_path)
    make_run(tmp_path, "published-cnn", val=0)
    make_run(tmp_path, "published-mlp", val=0, split={"split_seed": 9, "train": 600, "val": 0, "test": 300})
    groups, _, warnings = collect([tmp_path])
    assert (len(groups), warnings) == (3, [])


def test_a_part_without_validation_is_another_split_too(tmp_path: Path) -> None:
    make_run(tmp_path)
    part = make_run(tmp_path, "few", val=0, split={"split_seed": 0, "train": 100, "val": 0, "test": 300})
    (part.path / "config.yaml").write_text("data: {train_size: 100}")
    assert "100 training and 0 validation" in refused([tmp_path])


@pytest.mark.parametrize(
    ("config", "kind", "family"),
    [
        ("model: {class_path: fmnist.models.cnn.LitCNN}", "lightning", "convolutional"),
        ("model: {class_path: fmnist.models.mlp.LitMLP}", "lightning", "fully connected"),
        ("estimator: {class_path: sklearn.svm.SVC}", "scikit-learn", "classical"),
        ("model: {class_path: my_model.LitLinear}", "lightning", "other"),
        ("[", "lightning", "other"),
    ],
)
def test_the_family_is_read_from_the_configuration(
    tmp_path: Path, config: str, kind: str, family: str
) -> None:
    run = make_run(tmp_path, kind=kind)
    (run.path / "config.yaml").write_text(config)
    assert RunResult(run, GOOD).family == family


def test_the_test_set_is_identified_by_data_images_and_labels(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    test_set = RunResult(run, GOOD).test_set
    assert RunResult(run, Predictions(-GOOD.logits, GOOD.labels, GOOD.indices)).test_set == test_set
    relabelled = Predictions(GOOD.logits, GOOD.labels[::-1].copy(), GOOD.indices)
    assert RunResult(run, relabelled).test_set != test_set
