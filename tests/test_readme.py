"""The README's commands parse, what it points at exists, and its new model trains."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from fmnist.baselines.config import configure
from fmnist.core.runs import Run
from fmnist.training.command_line import TrainCLI
from fmnist.training.train import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```bash\n(.*?)^```", README, re.S | re.M)
INLINE = re.findall(
    r"`((?:make|python scripts/\S+) [^`]+)`", re.sub(r"^```.*?^```", "", README, flags=re.S | re.M)
)
LINES = [line for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
COMMANDS = [words for line in (*LINES, *INLINE) if (words := shlex.split(line, comments=True))]
TRAININGS = [
    words for words in COMMANDS if "scripts/train.py" in words and not {"--help", "--resume"} & set(words)
]
OTHERS = [words for words in COMMANDS if words[0] == "python" and "scripts/train.py" not in words]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory like a clone, with the files that the README tells to write."""
    for name in ("configs", "scripts", "fmnist"):
        (tmp_path / name).symlink_to(ROOT / name)
    for kind, suffix in (("python", "py"), ("yaml", "yaml")):
        blocks = re.findall(rf"^```{kind}\n(.*?)^```", README, re.S | re.M)
        (code,) = [block for block in blocks if "LitLinear" in block]
        (tmp_path / f"my_model.{suffix}").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])
    monkeypatch.delitem(sys.modules, "my_model", raising=False)
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_a_command_names_exists(words: list[str], clone: Path) -> None:
    for word in words:
        if re.match(r"(configs|fmnist|scripts|tests)/", word) or word.endswith((".yaml", ".py")):
            assert (clone / word).exists(), f"{word} does not exist"


@pytest.mark.parametrize("words", [w for w in COMMANDS if w[0] == "make"], ids=" ".join)
def test_make_has_the_target(words: list[str]) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    assert {word for word in words[1:] if "=" not in word} <= set(targets)


@pytest.mark.parametrize("words", TRAININGS, ids=" ".join)
def test_a_training_parses(words: list[str], clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = words[words.index("scripts/train.py") + 1 :]
    with pytest.raises(SystemExit) as stop:
        TrainCLI([*arguments, "--print_config"])  # which ends before anything is built
    assert stop.value.code == 0
    assert "class_path: " in capsys.readouterr().out


def test_links_lead_somewhere() -> None:
    titles = re.findall(r"^#+ (.*)$", README, re.M)
    anchors = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)\s]+)\)", README):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        assert (ROOT / path).exists(), f"{target} does not exist"
        assert path or anchor in anchors, f"there is no section #{anchor}"


@pytest.mark.parametrize("words", OTHERS, ids=" ".join)
def test_the_flags_of_other_scripts_exist(words: list[str], clone: Path) -> None:
    script = (ROOT / words[1]).read_text()
    if words[1] == "scripts/baseline.py":
        assert configure(words[2:]).name
    else:
        passed_on = {"--seed_everything"} if words[1] == "scripts/run_configs.py" else set()
        flags = {word for word in words[2:] if word.startswith("--")} - passed_on
        assert not [flag for flag in flags if f'"{flag}"' not in script]


def test_a_new_model_is_one_file_and_one_yaml(
    synthetic_root: Path, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data.root", str(synthetic_root), "--data.val_size", "100", "--data.batch_size", "50"]
    trainer = ["--trainer.precision", "32-true", "--trainer.accelerator", "cpu"]
    outcome = main(["--config", "my_model.yaml", "--logs", str(clone / "logs"), *data, *trainer])
    assert outcome is not None
    run = Run(outcome.path)
    assert run.path.parts[-2:] == ("linear", "version_0")
    assert run.status == "finished"
    assert run.record["parameters"] == 785 * 10
    assert run.record["metrics"]["test"]["accuracy"] > 0.5
    assert (run.path / "figures" / "confusion_matrix.png").exists()
    assert capsys.readouterr().out.startswith("Linear, 7,850 parameters")
