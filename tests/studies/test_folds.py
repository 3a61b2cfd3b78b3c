"""``scripts/study.py --folds``: the runs of all folds, and their out-of-fold predictions together."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fmnist.core.errors import InputError
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.studies.folds import out_of_fold
from tests.evaluation.made import make_run, predictions
from tests.evaluation.reading import Page
from tests.studies import conftest

ROOT = Path(__file__).parents[2]
DIVIDE = "must be 2 or more, and divide the 600 training images evenly"
ALONE = "--folds 2: goes with --config FILE, and not with"
OF_OTHER_RUNS = "does not go with --blend, --features embedding, --init or --teachers"
TRAINER = """
import sys, numpy as np, yaml
from pathlib import Path
from fmnist.core.predictions import Predictions
from fmnist.core.runs import Run
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
config = yaml.safe_load(Path(flags["--config"]).read_text())
fold, size = int(flags.get("--data.fold", 0)), int(flags.get("--data.val_size", 100))
config |= {"logs": flags["--logs"], "data": {"root": flags["--data.root"], "fold": fold, "val_size": size}}
if "--print_config" in sys.argv:
    print(yaml.safe_dump(config))
    sys.exit()
if str(fold) == flags.get("--broken"):
    sys.exit("error: it is broken")
indices = np.arange(fold, 600, 600 // size)
labels, logits = indices % 10, np.zeros((size, 10))
logits[np.arange(size), (labels + (np.arange(size) < 10 * (fold + 1))) % 10] = 1  # so many are wrong
run = Run.create(config["logs"], config["name"], split={"split_seed": 0, "fold": fold, "val": size})
(run.path / "config.yaml").write_text(yaml.safe_dump(config))
made = Predictions(logits, labels, indices)
run.save_predictions("val", made)
run.finish("finished", metrics={"val": {"accuracy": made.accuracy, "f1": 0.5}, "test": {"accuracy": 0.125}})
"""

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration of a trainer that takes no time: fold I gets 10 (I + 1) images wrong."""
    path = tmp_path / "quick.yaml"
    (tmp_path / "trainer.py").write_text(TRAINER)
    path.write_text(f"# python {tmp_path / 'trainer.py'} --config {path}\nname: quick\n")
    return path


@pytest.fixture
def call(
    tmp_path: Path, synthetic_root: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Call:
    """Run the script on the drawn set; return its exit status and what it and its runs printed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(*args: object) -> tuple[int, str, str]:
        places = ["--logs", str(tmp_path / "logs"), "--data.root", str(synthetic_root)]
        return conftest.call([*map(str, args), *places]), *capfd.readouterr()

    return run


def read(folder: Path) -> Predictions:
    with np.load(folder / "out_of_fold.npz") as arrays:
        assert {name: arrays[name].dtype.name for name in arrays} == {
            "logits": "float32", "labels": "int64", "indices": "int64",
        }  # fmt: skip
        return Predictions(**arrays)


def test_folds_are_summed_up_by_their_validation(call: Call, config: Path, tmp_path: Path) -> None:
    status, printed, _ = call("--config", config, "--folds", 3)
    assert status == 0
    accuracies = [0.95, 0.9, 0.85]  # of 200 images each
    for fold, accuracy in enumerate(accuracies):
        assert re.search(rf"^quick data\.fold {fold} +{accuracy:.4f} ", printed, re.M)
    assert "run                validation accuracy" in printed
    assert "\nValidation accuracy 0.9000 ± 0.0500 over 3 folds.\n" in printed
    sentence = "Accuracy 0.9000 on all 600 out-of-fold predictions, which out_of_fold.npz holds."
    assert f"{sentence}\nTest accuracy 0.1250 ± 0.0000 over 3 folds.\n" in printed
    folder = tmp_path / "logs" / "studies" / "quick-folds"
    pooled = read(folder)
    np.testing.assert_array_equal(pooled.indices, np.arange(600))
    np.testing.assert_array_equal(pooled.labels, np.arange(600) % 10)
    page = Page((folder / "study.html").read_text())
    text = " ".join(page.texts)
    assert "Validation accuracy over folds" in text
    assert "Validation accuracy 0.9000 ± 0.0500 over 3 folds." in text
    assert "interval" not in text
    assert sentence in text
    assert " best " not in text  # of several folds it says nothing
    dots, mean = page.data["charts"]["repetitions"]["data"]
    assert (dots["x"], mean["x"]) == (accuracies, [0.9])
    assert mean["error_x"]["array"] == []
    assert [row["result"] for row in page.data["tables"]["trials"]] == accuracies  # not of the test set
    status, printed, _ = call("--config", config, "--folds", 3)
    assert (status, printed.count("finished already: ")) == (0, 3)


def test_a_fold_that_fails_leaves_no_predictions_of_all_images(
    call: Call, config: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "logs" / "studies" / "quick-folds"
    assert call("--config", config, "--folds", 2)[0] == 0
    assert (folder / "out_of_fold.npz").exists()
    status, printed, errors = call("--config", config, "--folds", 3, "--broken", 1)
    assert status == 1
    assert "error: it is broken" in errors
    assert "Validation accuracy 0.9000 ± 0.0707 over 2 folds." in printed
    assert "out-of-fold" not in printed
    assert not (folder / "out_of_fold.npz").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--folds", 7], f"--folds 7: {DIVIDE}, as 6 does"),
        (["--folds", 1], f"--folds 1: {DIVIDE}, as 2 does"),
        (["--folds", 601], f"--folds 601: {DIVIDE}, as 600 does"),
        (["--folds", 2, "--seeds", 2], f"{ALONE} --seeds"),
        (
            ["--folds", 2, "--split-seeds", 2],
            f"{ALONE} --split-seeds",
        ),
        (["--folds", 2, "--search", "x.yaml"], f"{ALONE} --search"),
        (["--folds", 2, "--compare", "page"], f"{ALONE} --compare"),
        (["--folds", 2, "--data.val_size", 60], "--data.val_size 60: leave it out, it is given by --folds 2"),
        (["--folds", 2, "--data.fold=1"], "--data.fold 1: leave it out, it is given by --folds 2"),
        (["--folds", 0], "--folds: '0' must be a whole number, 1 or more"),
    ],
)
def test_what_does_not_go_with_folds_is_refused(
    call: Call, config: Path, tmp_path: Path, flags: list[object], message: str
) -> None:
    status, _, errors = call("--config", config, *flags)
    assert status == 2
    assert message in errors
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("blend: [logs/a, logs/b]", OF_OTHER_RUNS),
        ("features: [embedding: logs/cnn, pca: 8]", OF_OTHER_RUNS),
        ("init: logs/cnn", OF_OTHER_RUNS),
        ("teachers: [logs/cnn]", OF_OTHER_RUNS),
        (
            "trainer: {limit_val_batches: 1}",
            "does not go with --trainer.limit_val_batches 1, which leaves out",
        ),
    ],
)
def test_configurations_that_have_no_out_of_fold_predictions_are_refused(
    call: Call, config: Path, setting: str, message: str
) -> None:
    config.write_text(f"{config.read_text()}{setting}\n")
    status, _, errors = call("--config", config, "--folds", 2)
    assert status == 2
    assert errors.startswith(f"error: --folds 2: {message}")


def test_files_do_not_go_with_folds(call: Call, config: Path) -> None:
    status, _, errors = call(config, "--folds", 2)
    assert (status, errors) == (2, "error: --folds 2: goes with --config FILE, and not with PATH\n")


def test_folds_that_overlap_or_leave_out_images_are_refused(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, seed=seed, val=60) for seed in range(2)]  # both of the images 0 to 59
    with pytest.raises(InputError, match="are not each image once; remove these runs"):
        out_of_fold(runs)
    other = predictions(5, size=60)
    for shift, is_whole in ((61, False), (60, True)):
        runs[1].save_predictions("val", Predictions(other.logits, other.labels, other.indices + shift))
        if is_whole:
            np.testing.assert_array_equal(out_of_fold(runs).logits[60:], other.logits)
        else:
            with pytest.raises(InputError, match="are not each image once"):
                out_of_fold(runs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("baselines/naive_bayes", []),
        ("mlp", ["--trainer.max_epochs", 1, "--data.batch_size", 50, "--model.widths", "[8]"]),
    ],
)
def test_real_runs_predict_the_images_that_they_were_not_trained_on(
    call: Call, synthetic_root: Path, tmp_path: Path, name: str, flags: list[object]
) -> None:
    config = ROOT / "configs" / f"{name}.yaml"
    status, printed, errors = call("--config", config, "--folds", 3, "--test", "false", *flags)
    assert status == 0, errors
    (folder,) = (tmp_path / "logs" / "studies").iterdir()
    pooled, data = read(folder), source.load(synthetic_root)
    np.testing.assert_array_equal(pooled.indices, np.arange(600))
    np.testing.assert_array_equal(pooled.labels, data.train_labels)
    assert f"Accuracy {pooled.accuracy:.4f} on all 600 out-of-fold" in printed
    runs = Run.all(tmp_path / "logs" / folder.name.removesuffix("-folds"))
    assert [run.record["study"]["values"] for run in runs] == [{"data.fold": fold} for fold in range(3)]
    for fold, run in enumerate(runs):
        made = FashionMNISTDataModule(str(synthetic_root), val_size=200, fold=fold)
        assert run.split == made.split
        np.testing.assert_array_equal(run.predictions("val").indices, made.val_indices)
        np.testing.assert_array_equal(pooled.logits[made.val_indices], run.predictions("val").logits)
