"""``scripts/explain.py`` from the command line to the files, and every way to ask for the impossible."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fmnist.core.runs import Run
from fmnist.explanation import selection
from fmnist.inference.predictor import Predictor
from fmnist.models.cnn import CNN
from scripts.explain import main
from tests.explanation.conftest import Make

Explain = Callable[..., set[str]]


@pytest.fixture
def run(make_run: Make) -> Run:
    return make_run()


@pytest.fixture
def explain(run: Run, synthetic_root: Path) -> Explain:
    """Return a function that explains the run and returns the names of the files that there are then."""

    def call(*flags: str) -> set[str]:
        main([str(run.path), *flags, "--data.root", str(synthetic_root)])
        folder = run.path / "figures" / "explanations"
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    return call


def panels(name: str, *images: str) -> set[str]:
    return {f"{name}.png", f"{name}.npz", *(f"{name}/{image}.png" for image in images)}


def refused(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(list(flags))
    assert stopped.value.code == 2
    lines = capsys.readouterr().err
    assert lines.startswith("error: ")
    return lines


def test_without_a_wish_one_image_of_every_class(
    explain: Explain, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    files = explain()
    assert {"gradcam-predicted.png", "gradcam-predicted.npz"} <= files
    assert len(files) == 2 + 10
    with np.load(run.path / "figures" / "explanations" / "gradcam-predicted.npz") as arrays:
        assert arrays["labels"].tolist() == list(range(10))
    assert EventAccumulator(str(run.path)).Reload().Tags()["images"] == ["explanations/gradcam-predicted"]
    assert capsys.readouterr().out == f"explanations in {run.path / 'figures' / 'explanations'}\n"


def test_several_methods_of_chosen_images(explain: Explain) -> None:
    files = explain("--indices", "3", "150", "--method", "hirescam", "occlusion", "--target", "Shirt-vs-Coat")
    chosen = "test-00003", "test-00150"
    assert files == panels("hirescam-Shirt-vs-Coat", *chosen) | panels("occlusion-Shirt-vs-Coat", *chosen)


def test_the_worst_mistakes(explain: Explain, run: Run) -> None:
    files = explain("--worst", "2")
    predictions = run.predictions("test")
    wrong = predictions.logits.argmax(1) != predictions.labels
    confidence = np.where(wrong, predictions.probabilities.max(1), 0)
    worst = np.argsort(-confidence)[:2]
    assert files == panels("gradcam-predicted", *(f"test-{index:05d}" for index in worst))


def test_a_pair_of_classes(explain: Explain, run: Run) -> None:
    predictions = run.predictions("test")
    wrong = np.flatnonzero(predictions.logits.argmax(1) != predictions.labels)
    pair = predictions.labels[wrong[0]], predictions.logits[wrong[0]].argmax()
    files = explain("--pair", *map(str, pair), "--worst", "1")
    assert len(files) == 3


def test_runs_are_compared_in_another_folder(
    run: Run, mlp_run: Run, synthetic_root: Path, tmp_path: Path
) -> None:
    before = set(run.path.rglob("*"))
    flags = ["--indices", "0", "--compare", str(mlp_run.path), "--output", str(tmp_path / "here")]
    main([str(run.path), *flags, "--data.root", str(synthetic_root)])
    assert {path.name for path in (tmp_path / "here").glob("*.png")} == {
        "gradcam-predicted.png",
        "compare-gradcam-predicted.png",
    }
    assert set(run.path.rglob("*")) == before


def test_averages_and_checks_alone(explain: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    files = explain("--average", "--faithfulness", "4", "--sanity", "3", "--method", "gradcam")
    assert files == {
        *("average-gradcam-predicted.png", "average-gradcam-predicted.npz", "sanity.png", "sanity.csv"),
        *(f"faithfulness.{kind}" for kind in ("csv", "md", "npz", "png")),
        "faithfulness-curves.png",
    }
    output = capsys.readouterr()
    assert "| Grad-CAM | " in output.out
    assert "- Grad-CAM: rank correlation " in output.out
    assert "faithfulness, Grad-CAM" in output.err  # the progress bar


def test_checks_take_every_method_that_goes(explain: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    explain("--sanity", "2")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("- ")]
    names = ["Grad-CAM", "HiResCAM", "LayerCAM", "Integrated gradients", "SmoothGrad", "Occlusion"]
    assert [line[2:].partition(":")[0] for line in lines] == names


def test_pictures(explain: Explain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("シャツ.jpg", "ズボン.jpg"):
        Image.new("L", (60, 40), 99).save(folder / name)
    (folder / "empty.png").touch()
    assert explain("--images", str(folder)) == panels("gradcam-predicted", "シャツ.jpg", "ズボン.jpg")
    assert f"skipped {folder / 'empty.png'}: is empty" in capsys.readouterr().out


def test_a_run_of_scikit_learn_is_occluded(
    tmp_path: Path, synthetic_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.create(tmp_path, "svm", kind="scikit-learn", status="finished", scores="decision scores")
    monkeypatch.setattr(Predictor, "logits", lambda _, images: images[:, 9:19, 14].astype(np.float32) - 100)
    flags = [str(run.path), "--indices", "1", "--data.root", str(synthetic_root)]
    line = refused(capsys, *flags)
    assert "--method gradcam: needs gradients, which a scikit-learn estimator does not have" in line
    assert line.rstrip().endswith("use occlusion")
    main([*flags, "--method", "occlusion"])
    with np.load(run.path / "figures" / "explanations" / "occlusion-predicted.npz") as arrays:
        rows, columns = np.nonzero(arrays["maps"][0])
    assert {*rows} <= {*range(6, 23)}  # where the scores look, and windows that cover it
    assert {*columns} <= {*range(11, 18)}


def test_a_run_that_averages_mirror_images_is_told(
    make_run: Make, synthetic_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(name="flipped", flip_average=True)
    flags = ["--indices", "0", "--output", str(tmp_path / "out"), "--data.root", str(synthetic_root)]
    main([str(run.path), *flags])
    assert "what is explained is the image by itself" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--indices", "200"], "--indices 200: must lie between 0 and 199"),
        (["--indices", "-1"], "--indices -1: must lie between 0 and 199"),
        (["--worst", "0"], "--worst 0: must be at least 1"),
        (["--method", "magic"], "--method magic: unknown; must be one of gradcam, hirescam"),
        (["--method", "guided-gradcam"], "changes how nn.ReLU passes gradients back"),
        (["--target", "Hat"], "--target Hat: must be predicted, true, a class"),
        (["--pair", "Hat", "Coat"], "--pair: 'Hat' is no class"),
        (["--pair", "Bag", "Coat", "--indices", "1"], "--pair: does not go with --indices"),
        (["--layer", "body"], "--layer body: has no map; layers with one are stem (27 x 27)"),
        (["--layer", "stages", "--method", "occlusion"], "--layer stages: occlusion looks at no layer"),
        (
            ["--layer", "stem", "--method", "smoothgrad", "--sanity"],
            "--layer stem: smoothgrad looks at no layer",
        ),
        (["--faithfulness", "1"], "--faithfulness 1: must lie between 2 and 200"),
        (["--sanity", "201"], "--sanity 201: must lie between 2 and 200"),
        (
            ["--sanity", "--target", "Coat"],
            "--target Coat: faithfulness and sanity are of the predicted class",
        ),
        (["--compare", "nowhere"], "nowhere: is no run folder"),
        (
            ["--images", "nowhere"],
            "--images nowhere: holds no picture that can be read\nnowhere: cannot be read",
        ),
    ],
)
def test_bad_input_is_refused_before_anything_is_drawn(
    flags: list[str], message: str, run: Run, synthetic_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, str(run.path), *flags, "--data.root", str(synthetic_root))
    assert not (run.path / "figures").exists()


def test_sanity_without_layers_is_refused_before_any_work(
    tmp_path: Path, synthetic_root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.create(tmp_path, "svm", kind="scikit-learn", status="finished", scores="decision scores")
    monkeypatch.setattr(Predictor, "logits", lambda *_: pytest.fail("was asked"))
    monkeypatch.setattr(selection, "load_test_set", lambda *_: pytest.fail("data were loaded"))
    line = refused(capsys, str(run.path), "--sanity", "--average", "--method", "occlusion")
    assert line == f"error: --sanity: {run.path} has no layers whose weights could be drawn again\n"
    assert not (run.path / "figures").exists()


def test_comparing_with_a_network_that_names_no_layer_is_refused_before_any_work(
    run: Run, make_run: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make_run(name="other")
    monkeypatch.setattr(selection, "load_test_set", lambda *_: pytest.fail("data were loaded"))
    monkeypatch.delattr(CNN, "cam_layer")
    flags = [str(run.path), "--layer", "stages", "--compare", str(other.path)]
    line = refused(capsys, *flags)
    assert line.startswith(f"error: --compare {other.path}: CNN names no cam_layer, which gradcam needs")
    with pytest.raises(pytest.fail.Exception, match="data were loaded"):  # a method without layers goes on
        main([*flags[:1], *flags[3:], "--method", "occlusion"])


def test_an_mlp_is_offered_what_it_can_have(
    mlp_run: Run, synthetic_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, str(mlp_run.path), "--data.root", str(synthetic_root))
    assert "--method gradcam: needs a layer whose output is a map" in line
    assert line.rstrip().endswith("use integrated-gradients, smoothgrad, occlusion")


def test_a_run_that_is_not_finished_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.create(tmp_path, "half", kind="lightning")
    assert "is running, and only a finished run" in refused(capsys, str(run.path))
