"""An export is kept only if it computes what the network does."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fmnist.core.constants import CLASSES
from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.data import source
from fmnist.inference import export, formats
from fmnist.inference.export import MapOutput, as_input, capture, compare, compare_maps, export_run, metadata
from fmnist.inference.predictor import Predictor
from fmnist.models.mlp import LitMLP
from tests.inference.networks import make_run


@pytest.fixture(autouse=True)
def few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "TIMED", {1: 2, 250: 1})


def test_a_map_goes_with_onnx_only(run: Run) -> None:
    with pytest.raises(InputError, match="--with-map: needs --format onnx, not torch"):
        export_run(run, "torch", with_map=MapOutput(capture, lambda *_: np.zeros(0), "map"))


def test_a_wrong_map_is_refused() -> None:
    images, maps = np.zeros((10, 28, 28), np.uint8), np.zeros((10, 28, 28), np.float32)
    assert compare_maps(lambda inputs: maps[: len(inputs)] + 5e-5, images, maps) < 1e-4
    for fault in (2e-4, np.nan):
        wrong = np.full_like(maps, fault)
        with pytest.raises(InputError, match="--with-map: the exported map differs"):
            compare_maps(lambda inputs, wrong=wrong: wrong[: len(inputs)], images, maps)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "logs", LitMLP, widths=[16])


@pytest.mark.parametrize("name", formats.FORMATS)
def test_an_export_is_compared_on_the_test_images_and_kept(name: str, run: Run, synthetic_root: Path) -> None:
    form = formats.FORMATS[name]
    for package in form.packages:
        pytest.importorskip(package)
    path = run.path / "export" / f"model{form.suffix}"
    lines = export_run(run, name, root=str(synthetic_root))
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    images = source.load(synthetic_root).test_images.numpy()
    function = form.read(path.read_bytes())
    np.testing.assert_allclose(function(as_input(images)), Predictor(run).logits(images), atol=1e-4)
    assert lines[0] == f"{path}: {path.stat().st_size / 1e6:.2f} MB"
    assert lines[1].startswith("same class as PyTorch on 200 test images, logits within ")
    assert lines[1].endswith(", in batches of 1, 7, 250")
    assert [line.split()[0] for line in lines[2:]] == ["ms", "PyTorch", form.runtime.split()[0], "on"]


def test_without_data_noise_is_compared_and_nothing_is_downloaded(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "find", lambda root: None)
    monkeypatch.setattr(source, "load", lambda root: pytest.fail("was asked for data"))
    lines = export_run(run, "torch", root=str(tmp_path / "nowhere"))
    assert "same class as PyTorch on 1,000 images of noise, as" in lines[1]


def test_there_are_as_many_images_of_noise_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "find", lambda root: None)
    images, described = export._comparison_images("nowhere", export.COMPARED_WITH_MAP)
    assert images.shape == (500, 28, 28)
    assert described.startswith("500 images of noise, as nowhere and this machine")


@pytest.mark.parametrize(
    ("size", "fault"), [(1, "class"), (7, "class"), (250, "class"), (7, "logit"), (7, "nan")]
)
def test_an_export_that_computes_something_else_is_refused(size: int, fault: str) -> None:
    images = np.zeros((300, 28, 28), np.uint8)
    logits = np.zeros((300, 10), np.float32)
    logits[:, 0] = 0.1 if fault != "class" else 1e-6

    def exported(inputs: np.ndarray) -> np.ndarray:
        computed = logits[: len(inputs)].copy()
        if len(inputs) == size:
            computed[0] = {"class": np.eye(10)[1] * 2e-6, "logit": computed[0] + 2e-4, "nan": np.nan}[fault]
        return computed

    wrong = f"in batches of {size}, another class for "
    with pytest.raises(InputError, match=wrong) as caught:
        compare(exported, images, logits, "onnx")
    assert ("another class for 0 of" in str(caught.value)) == (fault != "class")
    assert compare(lambda inputs: logits[: len(inputs)] + 5e-5, images, logits, "onnx") < 1e-4


def test_a_wrong_export_leaves_the_older_file(
    run: Run, synthetic_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run.path / "export" / "model.pt2"
    path.parent.mkdir()
    path.write_bytes(b"an older export")
    right = formats.FORMATS["torch"]
    wrong = replace(right, read=lambda content: lambda images: right.read(content)(images)[:, ::-1])
    monkeypatch.setitem(formats.FORMATS, "torch", wrong)
    with pytest.raises(InputError, match="--format torch: the exported file differs from the network: "):
        export_run(run, "torch", root=str(synthetic_root))
    assert [file.read_bytes() for file in path.parent.iterdir()] == [b"an older export"]


def test_the_metadata_hold_what_a_user_must_know(run: Run) -> None:
    known = metadata(run)
    assert tuple(json.loads(known["classes"])) == CLASSES
    assert known["run"] == "small/version_0"
    assert known["git_commit"] == "0123abcd"
    assert known["test_accuracy"] == "0.6000"
    # the best temperature of logits 3 and 0 that are right in 60 % of the cases has a closed form
    assert float(known["temperature"]) == pytest.approx(3 / np.log(0.6 / 0.4 * 9), rel=1e-3)
    (run.path / "predictions" / "val.npz").unlink()
    assert "temperature" not in metadata(run)
    assert "temperature" not in metadata(run)["output"]
    (run.path / "predictions" / "test.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"test.npz: is damaged"):
        metadata(run)
