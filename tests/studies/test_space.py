"""The shipped search files, and how values become flags."""

import shlex
from pathlib import Path

import pytest

from fmnist.studies.jobs import job_of
from fmnist.studies.resolver import Resolver
from fmnist.studies.space import Parameter, as_flags, check_space, read_space

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs" / "search").glob("*.yaml")), ids=lambda path: path.stem
)
def test_the_flags_and_values_of_a_shipped_file_are_accepted(path: Path) -> None:
    """Its first line is the command that uses it; whatever it may draw is right for the script."""
    program, script, *words = shlex.split(path.read_text().partition("\n")[0].lstrip("# "))
    assert (program, script) == ("python", "scripts/study.py")
    flags = dict(zip(words[::2], words[1::2], strict=True))
    assert ROOT / flags["--search"] == path
    others = [word for flag in ("--data.train_size", "--trainer.max_epochs") if flag in flags
              for word in (flag, flags[flag])]  # fmt: skip
    job = job_of([str(ROOT / flags["--config"])], others)
    space = read_space(str(path))
    assert len(space) >= 3
    with Resolver() as resolver:
        check_space(str(path), space, job.command, resolver)


def test_values_are_flags_as_yaml_reads_them() -> None:
    values = {"a": 1e-05, "b": [64, 32], "c": "adam", "d": True, "e": None, "f": [{"pca": 80}]}
    words = ["--a", "1e-05", "--b", "[64, 32]", "--c", "adam", "--d", "true", "--e", "null"]
    assert as_flags(values) == [*words, "--f", '[{"pca": 80}]']


def test_a_condition_may_name_several_choices(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "kind: [a, b, c]\nx: {low: 1, high: 3, if: {kind: [a, b]}}\ny: {low: 1, high: 3.0, step: 0.5}\n"
    )
    kind, x, y = read_space(str(path))
    assert kind == Parameter("kind", ("a", "b", "c"))
    assert [x.applies_to({"kind": value}) for value in "abc"] == [True, True, False]
    assert not x.applies_to({})
    assert x.is_whole
    assert not y.is_whole
