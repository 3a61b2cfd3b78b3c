"""Files land whole where they should, and on the run's own TensorBoard only in the run's own folder."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fmnist.core.errors import InputError
from fmnist.core.runs import Run
from fmnist.explanation.output import Output, as_file_name, distinct


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path, "cnn")


def write(output: Output) -> None:
    with output:
        output.figure("one", Figure(figsize=(1, 1)))
        output.figure("sub/two", Figure(figsize=(1, 1)), board=False)
        output.text("table.md", "ä\n")
        output.arrays("maps", maps=np.arange(3))


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_runs_own_folder_and_board(run: Run) -> None:
    output = Output(run)
    write(output)
    assert output.folder == run.path / "figures" / "explanations"
    assert names(output.folder) == {"one.png", "sub/two.png", "table.md", "maps.npz"}
    assert (output.folder / "table.md").read_text(encoding="utf-8") == "ä\n"
    assert np.load(output.folder / "maps.npz")["maps"].tolist() == [0, 1, 2]
    events = EventAccumulator(str(run.path)).Reload()
    assert events.Tags()["images"] == ["explanations/one"]


def test_another_folder_leaves_the_run_alone(run: Run, tmp_path: Path) -> None:
    write(Output(run, tmp_path / "new" / "folder"))
    assert names(tmp_path / "new" / "folder") == {"one.png", "sub/two.png", "table.md", "maps.npz"}
    assert names(run.path) == {"run.json"}


def test_a_folder_that_cannot_be_made_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"--output .*file/folder: cannot be written \(Not a directory\)"):
        Output(run, tmp_path / "file" / "folder")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("T-shirt/top", "T-shirt-top"),
        ("../../etc", "etc"),
        ("a b.png", "a-b.png"),
        ("Ärmel.jpg", "Ärmel.jpg"),
        ("シャツ/1.png", "シャツ-1.png"),
        ("..", "unnamed"),
    ],
)
def test_file_names(text: str, name: str) -> None:
    assert as_file_name(text) == name


def test_a_name_fits_into_a_file_system() -> None:
    name = as_file_name("シャツ" * 100)
    assert "シャツ" * 20 in name
    assert len(f"{name}.png".encode()) < 255


def test_no_two_names_share_a_file() -> None:
    names = [
        "a b.png",
        "シャツ.png",
        "ズボン.png",
        "a-b.png",
        "A b.png",
        "2-a-b.png",
        "x" * 300 + "1",
        "x" * 300 + "2",
    ]
    found = distinct(names)
    assert found[:4] == ["a b.png", "シャツ.png", "ズボン.png", "2-a-b.png"]
    assert len({as_file_name(name).casefold() for name in found}) == len(names)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder here that is closed to everybody")
def test_a_closed_folder_is_refused_at_once(run: Run) -> None:
    with pytest.raises(InputError, match=r"--output /proc/self: cannot be written \("):
        Output(run, "/proc/self")
