"""Shipped networks: cut down from runs, found by name, read-only, and answering as they did."""

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fmnist.core import shipped
from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.core.shipped import shipped_names
from fmnist.data.arrays import images_of
from fmnist.data.datamodule import FashionMNISTDataModule
from fmnist.evaluation import ship
from fmnist.evaluation.groups import find_runs
from fmnist.inference.predictor import Predictor
from fmnist.robustness.measure import measure_detection
from scripts import evaluate, explain, export, predict
from tests.baselines.network import write_network
from tests.evaluation.made import make_run

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "examples" / "t-shirt.jpg"
SECRET = "/home/someone/data"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, synthetic_root: Path) -> Run:
    """A finished run whose record and configuration name a folder of one machine."""
    run = write_network(synthetic_root, tmp_path_factory.mktemp("logs"), "small")
    command = f"python scripts/train.py --data.root {SECRET}/set --logs {SECRET} --name small"
    run.update(command=command, photographs=None)
    config = run.path / "config.yaml"
    config.write_text(f"{config.read_text()}logs: {SECRET}\ndata:\n  root: {SECRET}/set\n")
    return run


@pytest.fixture(scope="module")
def folder(trained: Run, tmp_path_factory: pytest.TempPathFactory, synthetic_root: Path) -> Path:
    """A folder of shipped networks with one, ``small``."""
    output = tmp_path_factory.mktemp("pretrained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ship, "SHIPPED_REFERENCES", 50)
        patch.setattr(ship, "measure_detection", partial(measure_detection, count=60))
        ship.main([str(trained.path), "--output", str(output), "--data.root", str(synthetic_root)])
    return output


@pytest.fixture
def package(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make that folder the one of the package, and an empty folder the working one."""
    monkeypatch.setattr(shipped, "FOLDER", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_cut_down_to_a_run_folder_with_the_same_answers(
    trained: Run, folder: Path, synthetic_root: Path
) -> None:
    small = Run(folder / "small")
    data = FashionMNISTDataModule(str(synthetic_root), val_size=100)
    images = images_of(data, "test").images
    logits = Predictor(small).logits(images)
    assert logits.dtype == np.float32
    assert np.allclose(logits, Predictor(trained).logits(images), atol=0.01)
    assert np.allclose(Predictor(small).embeddings(images), Predictor(trained).embeddings(images), atol=0.01)
    recorded = small.predictions("test")
    assert recorded.logits.dtype == np.float32
    assert np.allclose(recorded.logits, logits, atol=0.01)
    sizes = [sum(map(len, contents(path).values())) for path in (small.path, trained.path)]
    assert sizes[0] < 0.8 * sizes[1]


def test_nothing_that_is_shipped_names_a_folder_of_the_machine(folder: Path) -> None:
    for path, content in contents(folder).items():
        assert b"someone" not in content, path
    record = json.loads((folder / "small" / "run.json").read_text())
    assert record["command"] == "python scripts/train.py --data.root set --name small"
    assert "logs" not in (folder / "small" / "config.yaml").read_text()
    assert record["classes"][0] == "T-shirt/top"
    card = (folder / "small" / "README.md").read_text()
    assert "| accuracy, 200 test images | 0." in card
    assert "AUROC" in card
    assert re.search(r"\d\d\.\d\d % of the 200 test images", card)


def test_a_network_can_be_called_otherwise_than_its_run(
    trained: Run,
    tmp_path: Path,
    synthetic_root: Path,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ship, "measure_detection", partial(measure_detection, count=60))
    flags = ["--output", str(tmp_path), "--data.root", str(synthetic_root)]
    ship.main([str(trained.path), "--name", "tiny", *flags])
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    assert Run(tmp_path / "tiny").record["name"] == "tiny"
    assert (tmp_path / "tiny" / "README.md").read_text().startswith("# tiny\n")
    error = refused(ship.main, trained.path, "--name", "a/b", *flags)
    assert error.startswith("error: --name 'a/b': must be letters")


def test_only_a_shipped_network_is_replaced(
    trained: Run, tmp_path: Path, refused: Callable[..., str]
) -> None:
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("a page")
    said = refused(ship.main, trained.path, "--name", "docs", "--output", tmp_path)
    assert said == f"error: --name docs: {tmp_path / 'docs'} is no shipped network; take another name\n"
    assert page.read_text() == "a page"
    run = make_run(tmp_path, "trained")
    said = refused(ship.main, trained.path, "--name", "version_0", "--output", run.path.parent)
    assert "is no shipped network" in said
    assert (run.path / "checkpoints" / "best.ckpt").exists()


def test_a_name_is_looked_up_after_paths(package: Path, trained: Run) -> None:
    assert Run.find("small").path == package / "small"
    assert [run.path for run in find_runs(["small"])[0]] == [package / "small"]
    Path("small").symlink_to(trained.path)
    assert Run.find("small").path == Path("small")
    assert [run.path for run in find_runs(["small"])[0]] == [Path("small")]


def test_an_unknown_name_lists_the_shipped_ones(package: Path, refused: Callable[..., str]) -> None:
    assert refused(predict.main, "smal", PICTURE).splitlines() == [
        "error: smal: is no run folder (it does not exist; train first, or name a run that logs/ holds; "
        "the shipped networks are small)"
    ]


def test_prediction_needs_no_data_and_writes_nothing(
    package: Path,
    synthetic_root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FMNIST_DATA", "none")
    before = contents(package)
    predict.main(["small", str(PICTURE)])
    printed = capsys.readouterr()
    assert "1 of 1 picture done" in printed.out
    assert printed.err == ""
    assert contents(package) == before
    path = package / "small" / "detection.npz"
    path.unlink()  # a damaged installation
    try:
        predict.main(["small", str(PICTURE), "--data.root", str(synthetic_root)])
        assert not path.exists()
    finally:
        path.write_bytes(before[path])
    assert not Path("logs").exists()


def test_scripts_that_write_into_a_run_do_so_in_one_copy(
    package: Path, synthetic_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, root = contents(package), ["--data.root", str(synthetic_root)]
    evaluate.main(["small", *root])
    assert "copied the shipped network to logs/pretrained/small" in capsys.readouterr().err
    explain.main(["small", "--method", "occlusion", "--indices", "3", *root])
    export.main(["small", "--format", "torch", *root])
    assert "copied" not in capsys.readouterr().err
    copy = Path("logs", "pretrained", "small")
    assert (copy / "report.html").exists()
    assert list((copy / "figures" / "explanations").iterdir())
    assert list((copy / "export").iterdir())
    assert contents(package) == before
    assert Run.find("small").path == package / "small"
    assert [run.path for run in find_runs([copy.parent])[0]] == [copy]
    with pytest.raises(InputError, match="no finished run"):
        find_runs(["logs"])  # where a copy would count as a seed of what it was made of


@pytest.mark.parametrize("damage", ["cut off", "one bit", "no header"])
def test_damaged_weights_are_said_in_one_line(
    package: Path, damage: str, refused: Callable[..., str]
) -> None:
    path = package / "small" / "checkpoints" / "weights.safetensors"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-100] ^= 4
    path.write_bytes({"cut off": whole[:-10], "one bit": bytes(flipped), "no header": b"{}"}[damage])
    try:
        (line,) = refused(predict.main, "small", PICTURE).splitlines()
    finally:
        path.write_bytes(whole)
    assert line.startswith(f"error: {path}: is damaged")


def test_a_network_whose_answers_rounding_changes_is_not_shipped(
    trained: Run,
    tmp_path: Path,
    synthetic_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
) -> None:
    monkeypatch.setattr(ship, "LEAST_AGREEMENT", 1.01)
    refused(ship.main, trained.path, "--output", tmp_path, "--data.root", synthetic_root)
    assert not list(tmp_path.iterdir())


def test_what_is_shipped_is_small() -> None:
    sizes = [len(content) for content in contents(shipped.FOLDER).values()]
    assert sum(sizes) <= ship.LARGEST_SUM
    assert max(sizes) <= ship.LARGEST_FILE


@pytest.mark.parametrize("name", shipped_names())
def test_what_is_shipped_names_no_machine(name: str) -> None:
    for path in ("run.json", "config.yaml", "README.md"):
        text = (shipped.FOLDER / name / path).read_text()
        assert not re.search(r"/(home|root|work|tmp|Users)/", text)


@pytest.mark.real_data
@pytest.mark.parametrize("name", shipped_names())
def test_shipped_networks_give_the_recorded_logits(name: str, real_data: Path) -> None:
    run = Run.find(shipped.FOLDER / name)
    recorded = run.predictions("test")
    images = images_of(FashionMNISTDataModule(str(real_data)), "test").images[:500]
    logits = Predictor(run).logits(images)
    assert np.allclose(logits, recorded.logits[:500], atol=0.02)
    assert (logits.argmax(1) == recorded.logits[:500].argmax(1)).mean() >= 0.998
    assert (logits.argmax(1) == recorded.labels[:500]).mean() > 0.88
