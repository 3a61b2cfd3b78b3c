"""``scripts/explain.py`` from the command line to the files, and every impossible request."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fmnist.core.runs import Run
from fmnist.explanation import panels, selection
from fmnist.explanation.methods import METHODS
from fmnist.inference.answers import picture_classifier
from fmnist.inference.predictor import Predictor
from fmnist.models.cnn import CNN
from scripts.explain import main
from tests.explanation.conftest import MakeRun
from tests.explanation.test_results import make_up

Explain = Callable[..., set[str]]
Refusal = Callable[..., str]


@pytest.fixture
def explain(run: Run, synthetic_root: Path) -> Explain:
    """Return a function that explains the run and returns the names of the files that there are then."""

    def call(*flags: str) -> set[str]:
        main([str(run.path), *flags, "--data.root", str(synthetic_root)])
        folder = run.path / "figures" / "explanations"
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    return call


@pytest.fixture
def refusal(refused: Callable[..., str], synthetic_root: Path) -> Refusal:
    """Return a function that expects bad input, nothing written, and returns the error."""

    def call(run: Run, *flags: str) -> str:
        error = refused(main, run.path, *flags, "--data.root", synthetic_root)
        assert not (run.path / "figures").exists()
        return error

    return call


def panel_files(name: str, *images: str) -> set[str]:
    return {f"{name}.png", f"{name}.npz", *(f"{name}/{image}.png" for image in images)}


def test_by_default_one_image_of_every_class(
    explain: Explain, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(explain()) == 2 + 10
    with np.load(run.path / "figures" / "explanations" / "masked-gradients-predicted.npz") as arrays:
        assert arrays["labels"].tolist() == list(range(10))
    drawn = EventAccumulator(str(run.path)).Reload().Tags()["images"]
    assert drawn == ["explanations/masked-gradients-predicted"]
    *unsure, first, last = capsys.readouterr().out.splitlines()
    assert re.match(r"cnn about test-\d+: unsure, close call between ", unsure[0])
    assert first.startswith("Masked gradients: not yet compared with a Gaussian")
    assert first.endswith("--faithfulness 200 --method masked-gradients")
    assert last == f"explanations in {run.path / 'figures' / 'explanations'}"


def test_a_layer_chooses_a_method_that_reads_one(explain: Explain) -> None:
    assert "gradcam-stages.0-predicted.png" in explain("--indices", "1", "--layer", "stages.0")


def test_what_was_measured_is_said_with_the_drawing(
    explain: Explain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_up(monkeypatch)
    explain("--faithfulness", "4", "--method", "gradcam")
    capsys.readouterr()
    explain("--indices", "1", "--method", "gradcam")
    line = capsys.readouterr().out.splitlines()[-2]
    assert line.startswith("Grad-CAM: better than a Gaussian in the middle of the image in ")
    assert " of 6 measures and worse in " in line
    assert ", 4 test images (" in line
    explain("--indices", "1", "--method", "gradcam", "--layer", "stages.0")
    assert "\nGrad-CAM: not yet compared" in capsys.readouterr().out


def test_only_what_was_measured_of_the_run_is_said(
    explain: Explain,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_up(monkeypatch)

    def said(*flags: str) -> str:
        explain("--indices", "1", "--method", "gradcam", "--output", str(elsewhere), *flags)
        return capsys.readouterr().out.splitlines()[-2]

    elsewhere, own = tmp_path / "elsewhere", run.path / "figures" / "explanations"
    assert f", 2 test images ({elsewhere}/" in said("--faithfulness", "2")
    assert said().startswith("Grad-CAM: not yet compared")  # that may have been another run
    own.mkdir(parents=True)
    shutil.copy(elsewhere / "faithfulness.csv", own)
    assert f", 2 test images ({own}/" in said()


def test_several_methods_of_chosen_images(explain: Explain) -> None:
    files = explain("--indices", "3", "150", "--method", "hirescam", "occlusion", "--target", "Shirt-vs-Coat")
    chosen = ("test-00003", "test-00150")
    names = ("hirescam-Shirt-vs-Coat", "occlusion-Shirt-vs-Coat")
    assert files == set().union(*(panel_files(name, *chosen) for name in names))


def test_a_run_answers_once_for_all_methods_and_comparisons(
    explain: Explain, run: Run, mlp_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def classifier(predictor: Predictor, root: str) -> object:
        asked.append(predictor.run.path)
        return picture_classifier(predictor, root)

    monkeypatch.setattr(panels, "picture_classifier", classifier)
    explain("--indices", "0", "--method", "gradcam", "occlusion", "--compare", str(mlp_run.path))
    assert asked == [run.path, mlp_run.path]


def test_the_worst_mistakes_of_all_or_of_a_pair(explain: Explain, run: Run) -> None:
    predictions = run.predictions("test")
    predicted, labels = predictions.logits.argmax(1), predictions.labels
    order = np.argsort(-np.where(predicted != labels, predictions.probabilities.max(1), 0), kind="stable")
    worst = panel_files("masked-gradients-predicted", *(f"test-{index:05d}" for index in order[:2]))
    assert explain("--worst", "2") == worst
    pair = str(labels[order[0]]), str(predicted[order[0]])
    assert explain("--pair", *pair, "--worst", "1") == worst  # the first of all is the first of its pair


def test_runs_are_compared_in_another_folder(
    explain: Explain, run: Run, mlp_run: Run, tmp_path: Path
) -> None:
    before = set(run.path.rglob("*"))
    explain("--indices", "0", "--compare", str(mlp_run.path), "--output", str(tmp_path / "here"))
    names = {"masked-gradients-predicted.png", "compare-masked-gradients-predicted.png"}
    assert {path.name for path in (tmp_path / "here").glob("*.png")} == names
    kept = {run.path / "detection.npz"}  # as predict.py does
    assert set(run.path.rglob("*")) == before | kept


def test_averages_and_checks_alone(explain: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    files = explain("--average", "--faithfulness", "4", "--sanity", "3", "--method", "gradcam")
    assert files == {
        *("average-gradcam-predicted.png", "average-gradcam-predicted.npz", "sanity.png", "sanity.csv"),
        *(f"faithfulness.{ending}" for ending in ("csv", "md", "npz", "png")),
        "faithfulness-curves.png",
    }
    output = capsys.readouterr()
    assert "| Grad-CAM | " in output.out
    assert "- Grad-CAM: rank correlation " in output.out
    assert "faithfulness, Grad-CAM" in output.err  # the progress bar


def test_checks_use_every_method_that_suits(
    explain: Explain, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run.update(flip_average=True)
    explain("--sanity", "2")
    output = capsys.readouterr().out
    assert "what is explained is the image by itself" in output
    lines = [line for line in output.splitlines() if line.startswith("- ")]
    suitable = [method.title for method in METHODS.values() if not method.needs_relu]  # the CNN has GELU
    assert [line[2:].partition(":")[0] for line in lines] == suitable


def test_pictures(explain: Explain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("シャツ.jpg", "ズボン.jpg"):
        picture = Image.new("L", (60, 40), 250)
        picture.paste(60, (20, 8, 40, 32))
        picture.save(folder / name)
    (folder / "empty.png").touch()
    assert explain("--images", str(folder)) == panel_files(
        "masked-gradients-predicted", "シャツ.jpg", "ズボン.jpg"
    )
    assert f"skipped {folder / 'empty.png'}: is empty" in capsys.readouterr().out


def test_a_scikit_learn_run_is_occluded(
    estimator_run: Run, refusal: Refusal, synthetic_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictor, "logits", lambda _, images: images[:, 9:19, 14].astype(np.float32) - 100)
    line = refusal(estimator_run, "--indices", "1", "--method", "gradcam")
    assert "--method gradcam: needs gradients, which a scikit-learn estimator does not have" in line
    assert line.endswith("use occlusion\n")
    flags = ["--indices", "1", "--data.root", str(synthetic_root)]
    main([str(estimator_run.path), *flags])
    with np.load(estimator_run.path / "figures" / "explanations" / "occlusion-predicted.npz") as arrays:
        rows, columns = np.nonzero(arrays["maps"][0])
    assert {*rows} <= {*range(6, 23)}  # the pixels that the logits are, and windows that cover them
    assert {*columns} <= {*range(11, 18)}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--indices 200", "--indices 200: must lie between 0 and 199"),
        ("--worst 0", "--worst 0: must be at least 1"),
        ("--method magic", "--method magic: unknown; must be one of masked-gradients, gradcam"),
        ("--method guided-gradcam", "changes how nn.ReLU passes gradients back"),
        ("--target Hat", "--target Hat: must be predicted, true, a class"),
        ("--pair Hat Coat", "--pair: 'Hat' is no class; there are T-shirt/top, Trouser"),
        ("--pair Bag Coat --indices 1", "--pair: does not go with --indices"),
        ("--pair Bag Coat --images .", "--pair: chooses test images, and does not go with --images"),
        ("--layer body", "--layer body: has no map; layers with one are stem (27 x 27)"),
        ("--layer stages --method occlusion", "--layer stages: occlusion uses no layer"),
        ("--faithfulness 1", "--faithfulness 1: must lie between 2 and 200"),
        ("--sanity 201", "--sanity 201: must lie between 2 and 200"),
        ("--sanity --target Coat", "--target Coat: faithfulness and sanity are of the predicted class"),
        ("--compare nowhere", "nowhere: is no run folder"),
        ("--images nowhere", "--images nowhere: holds no picture that can be read\nnowhere: cannot be read"),
    ],
)
def test_bad_input_is_refused_before_anything_is_drawn(
    flags: str, message: str, run: Run, refusal: Refusal
) -> None:
    line = refusal(run, *flags.split())
    assert line.startswith("error: ")
    assert message in line


def test_what_models_cannot_do_is_refused_before_the_data_are_read(
    run: Run,
    make_run: MakeRun,
    mlp_run: Run,
    estimator_run: Run,
    refusal: Refusal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selection, "load_test_set", lambda *_: pytest.fail("data were read"))
    line = refusal(mlp_run, "--method", "gradcam")
    assert "--method gradcam: needs a layer whose output is a map" in line
    assert line.endswith("use masked-gradients, integrated-gradients, smoothgrad, occlusion\n")
    line = refusal(estimator_run, "--sanity", "--average", "--method", "occlusion")
    assert line == f"error: --sanity: {estimator_run.path} has no layers whose weights could be drawn again\n"
    assert "is running, or was killed, and only a finished run" in refusal(
        Run.create(run.path, "half", kind="lightning")
    )
    other = make_run(name="other")
    monkeypatch.delattr(CNN, "cam_layer")
    line = refusal(run, "--layer", "stages", "--compare", str(other.path))
    assert line.startswith(f"error: --compare {other.path}: CNN names no cam_layer, which gradcam needs")
    with pytest.raises(pytest.fail.Exception, match="data were read"):  # a method without layers goes on
        main([str(run.path), "--compare", str(other.path), "--method", "occlusion"])
