"""The benchmark: its parts run and give rows; how fast anything is, is not tested."""

import inspect
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from fmnist.benchmark import TITLES, command, loops, parts
from fmnist.benchmark.networks import NETWORKS, Measured
from fmnist.benchmark.parts import Settings, compared
from fmnist.core.tables import Row
from fmnist.data import source
from fmnist.models.layers import parameter_count
from scripts import benchmark

CONFIG = """
name: small
model:
  class_path: fmnist.models.mlp.LitMLP
  init_args: {{widths: [8], optimizer: muon, learning_rate: 0.02, adam_learning_rate: 0.002,
    weight_decay: 0.01, momentum: 0.95}}
data:
  batch_size: 50
  root: {root}
  augmentation: {{shift: 1, flip: true, erase: 0.2}}
"""


@pytest.fixture
def settings(synthetic_root: Path, tmp_path: Path) -> Settings:
    (tmp_path / "small.yaml").write_text(CONFIG.format(root=synthetic_root))
    network = Measured("small", str(tmp_path / "small.yaml"), images=200, validation=100)
    return Settings(str(synthetic_root), turns=2, scale=0.01, networks=[network])


def test_ratios_are_taken_within_each_turn() -> None:
    seconds = {"ours": itertools.cycle([1.0, 2.0, 4.0]), "theirs": itertools.cycle([3.0, 4.0, 16.0])}
    ways = {name: lambda values=values: next(values) for name, values in seconds.items()}
    ours, theirs = compared(ways, turns=3, unit="s", reference="ours")
    assert (ours["value"], ours["ratio"], ours["ratio_low"], ours["ratio_high"]) == (1.0, 1, 1, 1)
    assert (theirs["value"], theirs["ratio"], theirs["ratio_low"], theirs["ratio_high"]) == (3.0, 3, 2, 4)
    ours, theirs = compared(ways, turns=3, unit="images/s", reference="ours")
    assert (ours["value"], theirs["value"]) == (4.0, 16.0)
    assert theirs["ratio"] == pytest.approx(1 / 3)  # more images in a second take less time


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.title)
def test_the_networks_are_those_of_the_configurations(network: Measured) -> None:
    sizes = {"MLP": 602_634, "LeNet-5": 61_706, "CNN": 294_914, "ResNet-8": 308_074}
    assert parameter_count(network.build()) == sizes[network.title]


@pytest.mark.parametrize("part", ["loader", "step"])
def test_a_part_gives_a_row_for_each_way(settings: Settings, part: str) -> None:
    rows = list(getattr(parts, part)(settings))
    expected = {
        "loader": ["fmnist", "torchvision, 0 workers", "torchvision, 2 workers"],
        "step": ["small, float32", "small, float32, channels last", "small, bfloat16, channels last"],
    }
    assert [row["measured"] for row in rows] == expected[part]
    assert all(row["value"] > 0 and row["ratio_low"] <= row["ratio"] <= row["ratio_high"] for row in rows)


@pytest.mark.slow  # a process that trains
def test_three_ways_to_train_take_their_time(settings: Settings, tmp_path: Path) -> None:
    network = settings.networks[0]
    loops.torchvision_folder(source.load(settings.root), str(tmp_path))
    held = np.ones(2**31, np.uint8)  # bytes; on Linux the ru_maxrss of a process begins with its parent's
    trained = loops.by_train_script(network, settings.root, 3, "--data.train_size", "200")
    del held
    bare = loops.by_bare_loop(network, settings.root, "32-true", "cpu")
    usual = loops.by_usual_setup(network, str(tmp_path), "cpu", workers=0)
    assert [len(seconds) for seconds in (trained.epoch_seconds, bare, usual)] == [2, 2, 2]
    assert all(0 < value < 60 for value in (*trained.epoch_seconds, *bare, *usual))
    assert trained.images_per_second > 0
    assert 100 < trained.peak_megabytes < 2_000
    assert 0 < trained.first_step_seconds < 60


def test_torchvision_reads_the_written_folder(synthetic_root: Path, tmp_path: Path) -> None:
    data = source.load(synthetic_root)
    loops.torchvision_folder(data, str(tmp_path))
    read = datasets.FashionMNIST(str(tmp_path), train=False)
    assert torch.equal(read.data, data.test_images)
    assert torch.equal(read.targets, data.test_labels)


def test_every_row_is_kept_at_once(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(settings: Settings) -> Iterator[Row]:
        yield parts.row("first", 2.0, "s", [1.0])
        raise KeyboardInterrupt

    output = tmp_path / "results"
    monkeypatch.setattr(parts, "start", lambda settings: iter([parts.row("older", 3.0, "s")]))
    command.measure(["start"], settings, output)
    monkeypatch.setattr(parts, "memory", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command.measure(["memory"], settings, output)
    results = json.loads(output.with_suffix(".json").read_text())
    assert [row["measured"] for part in results.values() for row in part["rows"]] == ["older", "first"]
    assert "| first | 2.00 s | 1.00 (1.00 to 1.00) |" in output.with_suffix(".md").read_text()


def test_the_folder_of_the_results_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parts, "start", lambda settings: iter([parts.row("only", 3.0, "s")]))
    benchmark.main(["start"])
    assert {path.name for path in Path("logs").iterdir()} == {"benchmark.json", "benchmark.md"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["speed"], "PART speed: must be one of loader, step"),
        (["loader", "--turns", "0"], "--turns 0: must be at least 1"),
        (["loader", "--output", "taken"], "taken.json: holds no results of a benchmark"),
        (["loader", "--output", "run"], "run.json: holds no results of a benchmark (it holds other keys)"),
        (["loader", "--output", "."], "--output .: is a folder; name files in it, like benchmark"),
        (["loader", "--output", "run.json/a"], "--output run.json/a: cannot be written ("),
    ],
)
def test_bad_input_is_named(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    refused: Callable[..., str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken.json").write_text("[")
    Path("run.json").write_text('{"name": "cnn"}')
    assert message in refused(benchmark.main, *arguments)


@pytest.mark.parametrize("part", TITLES)
def test_each_part_has_its_function(part: str) -> None:
    assert inspect.signature(getattr(parts, part)).return_annotation == Iterator[Row]
