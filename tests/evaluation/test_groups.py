"""Which runs are compared, which are refused, and which are seeds of one model."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.evaluation.groups import SeedGroup, collect, find_runs
from tests.evaluation.made import make_run, predictions


def seeds(groups: list[SeedGroup]) -> dict[str, list[int | None]]:
    return {group.label: [result.seed for result in group.results] for group in groups}


def test_logs_mean_every_finished_run_and_a_name_its_newest(tmp_path: Path) -> None:
    finished = [make_run(tmp_path, "cnn", seed) for seed in range(2)] + [make_run(tmp_path, "mlp")]
    running = Run.create(tmp_path, "cnn")
    make_run(tmp_path, "mlp", 1).finish("failed")
    (make_run(tmp_path, "damaged").path / "run.json").write_text("{")
    runs, skipped = find_runs([tmp_path])
    assert {run.path for run in runs} == {run.path for run in finished}
    assert skipped[0] == f"skipped {running.path}: is running, not finished"
    assert "run.json: is damaged" in skipped[1]
    assert skipped[2].endswith("is failed, not finished")
    newest, _ = find_runs([tmp_path / "cnn", tmp_path / "mlp"])
    assert [run.path for run in newest] == [finished[1].path, finished[2].path]
    same, _ = find_runs([finished[0].path, f"{finished[0].path}/../version_0", running.path])
    assert len(same) == 1


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path) -> None:
    Run.create(tmp_path, "cnn")
    with pytest.raises(InputError, match=r"(?s)no finished run.*is running"):
        find_runs([tmp_path])


def test_seeds_are_grouped_and_of_two_runs_of_one_seed_the_newer_counts(tmp_path: Path) -> None:
    for seed in (2, 0, 1):
        make_run(tmp_path, "cnn", seed)
    older, newer = make_run(tmp_path, "mlp", skill=0.5), make_run(tmp_path, "mlp", skill=0.6)
    groups, skipped, warnings = collect([tmp_path])
    assert (seeds(groups), warnings) == ({"cnn": [0, 1, 2], "mlp": [0]}, [])
    assert groups[0].first_seed.seed == 0
    accuracies = [result.test.accuracy for result in groups[0].results]
    assert groups[0].accuracy == pytest.approx(sum(accuracies) / 3)
    assert groups[1].first_seed.run.path == newer.path
    assert skipped == [f"skipped {older.path}: {newer.path} repeats it, and is newer"]


@pytest.mark.parametrize(
    ("same", "other"),
    [
        (({"val_size": 60}, {"val_size": 60, "train_size": None}), {"val_size": 60, "batch_size": 100}),
        (({}, {"augmentation": None}, {"augmentation": {"flip": False}}), {"augmentation": {"flip": True}}),
        (({"flip": True}, {"flip": True, "shear": 0.0, "spare": 0.0}), {"flip": True, "shear": 0.1}),
    ],
    ids=["data", "augmentation", "augmentation of older runs"],
)
def test_a_group_has_one_configuration_defaults_named_or_not(
    tmp_path: Path, same: tuple[dict[str, Any], ...], other: dict[str, Any]
) -> None:
    for seed, data in enumerate((*same, other)):
        config = {"seed_everything": seed, "data": {"root": f"data{seed}", **data}}
        (make_run(tmp_path, seed=seed).path / "config.yaml").write_text(yaml.safe_dump(config))
    last = len(same)
    assert seeds(collect([tmp_path])[0]) == {
        "cnn/version_0": [*range(last)],
        f"cnn/version_{last}": [last],
    }


def test_labels_are_unique_across_folders(tmp_path: Path) -> None:
    for folder, epochs in (("one", 1), ("two", 2)):
        run = make_run(tmp_path / folder)
        (run.path / "config.yaml").write_text(f"trainer: {{max_epochs: {epochs}}}")
    groups, _, _ = collect([tmp_path / "one", tmp_path / "two"])
    assert seeds(groups).keys() == {str(tmp_path / name / "cnn" / "version_0") for name in ("one", "two")}


@pytest.mark.parametrize(
    ("difference", "record", "config"),
    [
        ("different data", {"data_sha256": {"t10k-images-idx3-ubyte": "ffff"}}, ""),
        ("different test images", {"test": predictions(0, size=200)}, ""),
        (
            "540 training and 60 validation images, split seed 1",
            {"split": {"split_seed": 1, "train": 540, "val": 60}},
            "",
        ),
        (
            "100 training and 0 validation images",
            {"val": 0, "split": {"split_seed": 0, "train": 100, "val": 0}},
            "data: {train_size: 100}",
        ),
    ],
)
def test_runs_that_differ_are_compared_only_with_a_warning(
    tmp_path: Path, difference: str, record: dict[str, Any], config: str
) -> None:
    runs = [make_run(tmp_path), make_run(tmp_path, "mlp", **record)]
    if config:
        (runs[1].path / "config.yaml").write_text(config)
    with pytest.raises(InputError, match="--allow-mixed compares them"):
        collect([tmp_path])
    _, _, (warning,) = collect([tmp_path], allow_mixed=True)
    assert difference in warning
    assert all(str(run.path) in warning for run in runs)


def test_runs_trained_on_all_images_go_with_any_split(tmp_path: Path) -> None:
    make_run(tmp_path)
    make_run(tmp_path, "published-cnn", val=0)
    make_run(tmp_path, "published-mlp", val=0, split={"split_seed": 9, "train": 600, "val": 0, "test": 300})
    groups, _, warnings = collect([tmp_path])
    assert (len(groups), warnings) == (3, [])
