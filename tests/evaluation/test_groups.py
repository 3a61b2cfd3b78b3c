"""Which runs are compared, which are refused, and which are seeds of one model."""

import shutil
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


def test_a_folder_means_every_finished_run_below_it(tmp_path: Path) -> None:
    finished = [make_run(tmp_path, "cnn", seed) for seed in range(2)] + [make_run(tmp_path, "mlp")]
    running = Run.create(tmp_path, "cnn")
    make_run(tmp_path, "mlp", 1).finish("failed")
    (make_run(tmp_path, "damaged").path / "run.json").write_text("{")
    runs, skipped = find_runs([tmp_path])
    assert {run.path for run in runs} == {run.path for run in finished}
    assert skipped[0] == f"skipped {running.path}: is running, or was killed, not finished"
    assert "run.json: is damaged" in skipped[1]
    assert skipped[2].endswith("is failed, not finished")
    named, _ = find_runs([tmp_path / "cnn", tmp_path / "mlp"])
    assert [run.path for run in named] == [run.path for run in finished]
    same, _ = find_runs([finished[0].path, f"{finished[0].path}/../version_0", running.path])
    assert len(same) == 1


def test_what_holds_no_run_stops_no_other(tmp_path: Path) -> None:
    run = make_run(tmp_path / "logs")
    (tmp_path / "logs" / "a comparison").mkdir()
    (tmp_path / "logs" / "notes.txt").write_text("what `logs/*` names, too")
    (make_run(tmp_path / "logs").path / "run.json").write_text("{")
    paths = [*sorted((tmp_path / "logs").iterdir()), tmp_path / "logs" / "cnn" / "version_1"]
    runs, skipped = find_runs(paths)
    assert [each.path for each in runs] == [run.path]
    assert [line.startswith(f"skipped '{tmp_path}/logs/a comparison': holds no run") for line in skipped] == [
        True, False, False, False,
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"nowhere: is no run folder \(it does not exist; train first"):
        find_runs([run.path, tmp_path / "nowhere"])


def test_runs_that_cannot_be_read_are_left_out_and_named_with_what_to_do(tmp_path: Path) -> None:
    logs = tmp_path / "my logs"
    cnn, missing, damaged = (make_run(logs, name) for name in ("cnn", "missing", "damaged"))
    (missing.path / "predictions" / "test.npz").unlink()
    (damaged.path / "predictions" / "test.npz").write_bytes(b"no archive")
    groups, skipped, _ = collect([logs])
    assert [group.first_seed.run.path for group in groups] == [cnn.path]
    for run, fault in ((damaged, "is damaged"), (missing, "is missing")):
        line = next(line for line in skipped if run.path.parent.name in line)
        assert f"test.npz': {fault}" in line
        assert line.endswith(f"; to make them again: python scripts/evaluate.py '{run.path}'")
    with pytest.raises(InputError, match=r"(?s)no run with predictions\nskipped .*test\.npz': is missing"):
        collect([missing.path])


DEBUG = {
    "one batch": {"limit_train_batches": 1},
    "some of validation": {"limit_val_batches": 0.1},
    "some of the test set": {"limit_test_batches": 3.0},
    "fast_dev_run": {"fast_dev_run": True},
    "overfit_batches": {"overfit_batches": 0.01},
}
WHOLE = {
    "limit_train_batches": 1.0,
    "limit_val_batches": None,
    "fast_dev_run": False,
    "overfit_batches": 0.0,
}


@pytest.mark.parametrize("trainer", DEBUG.values(), ids=DEBUG)
def test_a_debug_run_answers_to_its_own_folder_only(tmp_path: Path, trainer: dict[str, Any]) -> None:
    real, debug = make_run(tmp_path), make_run(tmp_path, seed=1, started="9999")
    for run, settings in ((real, WHOLE), (debug, WHOLE | trainer)):
        (run.path / "config.yaml").write_text(yaml.safe_dump({"trainer": settings}))
    assert Run.find(tmp_path / "cnn").path == real.path
    assert Run.find(debug.path).path == debug.path
    runs, (line,) = find_runs([tmp_path])
    assert [run.path for run in runs] == [real.path]
    assert line.startswith(f"skipped {debug.path}: is a debug run, by --trainer.{next(iter(trainer))} ")
    assert len(find_runs([real.path, debug.path])[0]) == 2
    real.finish("stopped")
    with pytest.raises(InputError, match=f"holds no finished run .*{debug.path} is a debug run"):
        Run.find(tmp_path / "cnn")


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


def test_a_copy_that_is_left_out_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    shutil.copytree(run.path, tmp_path / "a copy" / "version_0")
    _, skipped, _ = collect([tmp_path])
    assert skipped == [f"skipped '{tmp_path}/a copy/version_0': is a copy of {run.path}"]


INCIDENTAL: tuple[dict[str, Any], ...] = (
    {"checkpoint_minutes": 5},
    {"trainer": {"enable_progress_bar": False}},
    {"trainer": {"callbacks": [{"class_path": "x.RichProgressBar"}]}},
    {"trainer": {"logger": {"class_path": "x.CSVLogger", "init_args": {"save_dir": "x"}}}},
    {"trainer": {"log_every_n_steps": 1}},
    {"trainer": {"accelerator": "gpu", "devices": 2}},
    {"trainer": {"profiler": "simple"}},
    {"early_stopping": None},
    {"data": {"augmentation": {}}},
    {"data": {"eval_batch_size": 1000}},
)
LEARNED = {
    "ema": ({"ema": 0.9}, "ema=0.9"),
    "callback": ({"trainer": {"callbacks": "x.Pruning"}}, "callbacks=[x.Pruning]"),
    "precision": ({"trainer": {"precision": "16-mixed"}}, "precision=16-mixed"),
    "list": ({"model": {"init_args": {"widths": [8, 16]}}}, "widths=[8, 16]"),
}


def test_what_changes_nothing_learned_splits_no_seeds(tmp_path: Path) -> None:
    for seed, change in enumerate(({}, *INCIDENTAL)):
        config = {"seed_everything": seed, **change}
        (make_run(tmp_path, seed=seed).path / "config.yaml").write_text(yaml.safe_dump(config))
    assert seeds(collect([tmp_path])[0]) == {"cnn": [*range(len(INCIDENTAL) + 1)]}


@pytest.mark.parametrize(("change", "text"), LEARNED.values(), ids=LEARNED)
def test_models_of_one_name_are_told_apart_by_what_differs(
    tmp_path: Path, change: dict[str, Any], text: str
) -> None:
    for seed, config in enumerate(({}, change)):
        (make_run(tmp_path, seed=seed).path / "config.yaml").write_text(yaml.safe_dump(config))
    key = text.partition("=")[0]
    assert seeds(collect([tmp_path])[0]) == {f"cnn {key}=null": [0], f"cnn {text}": [1]}


def test_a_learning_curve_over_train_size_is_no_mixture(tmp_path: Path) -> None:
    for seed, size in enumerate((100, 200, None)):
        split = {"split_seed": 0, "fold": 0, "train": size or 540, "val": 60, "test": 300}
        config = {"data": {"train_size": size}}
        (make_run(tmp_path, seed=seed, split=split).path / "config.yaml").write_text(yaml.safe_dump(config))
    groups, _, warnings = collect([tmp_path])
    assert warnings == []
    assert seeds(groups) == {f"cnn train_size={size}": [n] for n, size in enumerate((100, 200, "null"))}


def test_labels_are_unique_across_folders(tmp_path: Path) -> None:
    for folder, size in (("one", 300), ("two", 200)):  # of the test sets, which no setting tells
        make_run(tmp_path / folder, test=predictions(0, size=size))
    groups, _, _ = collect([tmp_path / "one", tmp_path / "two"], allow_mixed=True)
    assert seeds(groups).keys() == {str(tmp_path / name / "cnn" / "version_0") for name in ("one", "two")}


@pytest.mark.parametrize(
    ("difference", "record", "config"),
    [
        ("different data", {"data_sha256": {"t10k-images-idx3-ubyte": "ffff"}}, ""),
        ("different test images", {"test": predictions(0, size=200)}, ""),
        (
            "(60 images, split seed 1, fold 0)",
            {"split": {"split_seed": 1, "fold": 0, "train": 540, "val": 60}},
            "",
        ),
        (
            "(60 images, split seed 0, fold 2)",
            {"split": {"split_seed": 0, "fold": 2, "train": 540, "val": 60}},
            "",
        ),
        (
            "(0 images, split seed 0",
            {"val": 0, "split": {"split_seed": 0, "fold": 0, "train": 100, "val": 0}},
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
    make_run(
        tmp_path,
        "published-mlp",
        val=0,
        split={"split_seed": 9, "fold": 0, "train": 600, "val": 0, "test": 300},
    )
    groups, _, warnings = collect([tmp_path])
    assert (len(groups), warnings) == (3, [])
