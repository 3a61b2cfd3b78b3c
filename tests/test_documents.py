"""README and docs/: commands parse, Python runs, links lead somewhere, and what is public is documented."""

import functools
import importlib
import inspect
import pkgutil
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import yaml

import fmnist
from fmnist.baselines.config import configure
from fmnist.core.metrics import METRICS
from fmnist.core.runs import Run
from fmnist.training.command_line import TrainCLI
from fmnist.training.train import main
from scripts import export
from tests.baselines.network import write_network

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
OWN_NETWORK = ROOT / "docs" / "how-to" / "own-network.md"


class Block(NamedTuple):
    """A fenced block of a page.

    Attributes:
        page: Its page.
        language: The word after the fence.
        text: What is between the fences.
        not_run: Why it is not run, from a comment ``<!-- not run: REASON -->`` above it.
    """

    page: Path
    language: str
    text: str
    not_run: str | None


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found = re.findall(r"^(?:<!-- not run: (.+?) -->\n)?```(\w*)\n(.*?)^```", page.read_text(), re.S | re.M)
    return [Block(page, language, text, reason or None) for reason, language, text in found]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command: the lines of shell blocks, and whole commands in the text."""
    shell = [block.text for block in blocks(page) if block.language == "bash"]
    inline = re.findall(r"`((?:make|python scripts/[\w.]+) [^`]+)`", prose(page))
    for line in [*"".join(shell).replace("\\\n", " ").splitlines(), *inline]:
        for part in re.split(r"; (?:do |done)?", line):  # a shell loop is its commands
            if words := shlex.split(part, comments=True):
                yield words


COMMANDS = list(dict.fromkeys(tuple(words) for page in PAGES for words in commands(page)))
TRAININGS = [words for words in COMMANDS if "scripts/train.py" in words]
WHOLE = [
    words for words in TRAININGS if not {"--help", "--resume", "WandbLogger", "MLFlowLogger"} & set(words)
]
OTHERS = [words for words in COMMANDS if words[0] == "python" and words[1] != "scripts/train.py"]
RUN = [
    page for page in PAGES if any(block.language == "python" and not block.not_run for block in blocks(page))
]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory like a clone, with the files that the pages tell to write."""
    for folder in ("configs", "scripts", "fmnist", "tests", "examples"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    for block in blocks(OWN_NETWORK):
        if block.language in ("python", "yaml"):
            (tmp_path / f"my_model.{'py' if block.language == 'python' else 'yaml'}").write_text(block.text)
    (baseline,) = [b for b in blocks(ROOT / "docs" / "how-to" / "baselines.md") if b.language == "yaml"]
    (tmp_path / "my_baseline.yaml").write_text(baseline.text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])
    monkeypatch.delitem(sys.modules, "my_model", raising=False)
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_a_command_names_exists(words: tuple[str, ...], clone: Path) -> None:
    for word in re.split("[ =]", " ".join(words)):  # CONFIG=configs/cnn.yaml
        if re.match(r"(configs|fmnist|scripts|tests|examples)/", word) or word.endswith((".yaml", ".py")):
            assert (clone / word).exists(), f"{word} does not exist"


@pytest.mark.parametrize("words", [w for w in COMMANDS if w[0] == "make"], ids=" ".join)
def test_make_has_the_target(words: tuple[str, ...]) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    assert {word for word in words[1:] if "=" not in word} <= set(targets)


@pytest.mark.parametrize("words", WHOLE, ids=" ".join)
def test_a_training_parses(words: tuple[str, ...], clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [word for word in words[words.index("scripts/train.py") + 1 :] if word != "$seed"]
    with pytest.raises(SystemExit) as stop:
        TrainCLI([*arguments, "--print_config"])  # which ends before anything is built
    assert stop.value.code == 0
    assert "class_path: " in capsys.readouterr().out


@pytest.mark.parametrize("words", OTHERS, ids=" ".join)
def test_the_flags_of_other_scripts_exist(words: tuple[str, ...], clone: Path) -> None:
    script = (ROOT / words[1]).read_text()
    if words[1] == "scripts/baseline.py" and "--help" not in words:
        assert configure(list(words[2:])).name
    else:
        study = words[1] == "scripts/study.py"
        passed_on = (
            {"--data.train_size", "--trainer.max_epochs", "--logs", "--name", "--test"} if study else set()
        )
        flags = {word for word in words[2:] if word.startswith("--")} - passed_on - {"--help"}
        assert not [flag for flag in flags if f'"{flag}"' not in script]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{target} does not exist"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", prose(linked), re.M)
            anchors = {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{target}: there is no such section"


SMALL = {
    "FashionMNISTDataModule(": "FashionMNISTDataModule(val_size=100, ",
    'main(["--config"': 'main(["--data.val_size", "100", "--config"',
    "= 5000, 5": "= 500, 4",  # the example's parameters
}
"""What is replaced in Python that runs here: the drawn data set has 600 training images."""


def run(code: str, file: str, namespace: dict[str, Any]) -> None:
    """Run Python of a page on the drawn data set."""
    for whole, small in SMALL.items():
        code = code.replace(whole, small)
    exec(compile(code, file, "exec"), namespace)


@pytest.mark.parametrize("page", RUN, ids=name)
def test_the_python_of_a_page_runs(
    page: Path, clone: Path, synthetic_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All blocks of a page run in order, in one namespace."""
    monkeypatch.setenv("FMNIST_DATA", str(synthetic_root))
    for run_name in ("cnn", "lenet5"):
        write_network(synthetic_root, clone / "logs", run_name)
    if page.stem == "export":  # whose commands write what its Python reads
        pytest.importorskip("onnxscript")
        for line in commands(page):
            if "scripts/export.py" in line:
                export.main(line[2:])
    known = list(METRICS)
    namespace: dict[str, Any] = {"__name__": page.stem}
    monkeypatch.setitem(sys.modules, page.stem, ModuleType(page.stem))  # dataclasses look their module up
    try:
        for block in blocks(page):
            if block.language == "python" and not block.not_run:
                run(block.text, name(page), namespace)
    finally:
        METRICS[:] = known


def test_a_new_model_is_one_file_and_one_yaml(
    synthetic_root: Path, clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data.root", str(synthetic_root), "--data.val_size", "100", "--data.batch_size", "50"]
    trainer = ["--trainer.precision", "32-true", "--trainer.accelerator", "cpu"]
    outcome = main(["--config", "my_model.yaml", "--logs", str(clone / "logs"), *data, *trainer])
    assert outcome is not None
    made = Run(outcome.path)
    assert made.path.parts[-2:] == ("linear", "version_0")
    assert made.status == "finished"
    assert made.record["parameters"] == 785 * 10
    assert made.record["metrics"]["test"]["accuracy"] > 0.5
    assert (made.path / "figures" / "confusion_matrix.png").exists()
    assert capsys.readouterr().out.startswith("Linear, 7,850 parameters")


def test_the_readme_is_short_and_so_are_the_pictures() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
    sizes = [path.stat().st_size for path in (ROOT / "docs" / "images").iterdir()]
    assert max(sizes) < 150_000
    assert sum(sizes) < 1_000_000


def test_the_citation_names_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == fmnist.__version__
    assert f"## [{fmnist.__version__}] - {citation['date-released']}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_configurations_page_names_every_file() -> None:
    page = (ROOT / "docs" / "reference" / "configurations.md").read_text()
    named = set(re.findall(r"`(configs/\S+\.yaml)`", page))
    assert named == {str(path.relative_to(ROOT)) for path in (ROOT / "configs").rglob("*.yaml")}


def test_the_flags_page_asks_for_the_help_of_every_script() -> None:
    page = (ROOT / "docs" / "reference" / "flags.md").read_text()
    asked = re.findall(r"<!-- help: python (scripts/\w+\.py) --help -->", page)
    assert sorted(asked) == sorted(f"scripts/{path.name}" for path in (ROOT / "scripts").glob("*.py"))


def test_a_page_gets_the_help_that_it_asks_for() -> None:
    hook = runpy.run_path(str(ROOT / "docs" / "hooks.py"))["on_page_markdown"]
    asked = ["<!-- help: python scripts/compare.py --help -->", "<!-- help: python -c 'print(1)' -->"]
    first, second = hook("\n\n".join(asked)).split("\n\n```text\n")
    assert first.startswith("```text\nusage: python scripts/compare.py ")
    assert first.endswith("\n```")
    assert second == "1\n```"


def test_the_api_has_a_page_for_every_package() -> None:
    packages = {child.name for child in (ROOT / "fmnist").iterdir() if (child / "__init__.py").exists()}
    for package in packages:
        page = ROOT / "docs" / "reference" / "api" / f"{package}.md"
        assert f"::: fmnist.{package}\n" in page.read_text()


MODULES = [module.name for module in pkgutil.walk_packages(fmnist.__path__, "fmnist.")]


@pytest.mark.parametrize("module", MODULES)
def test_what_is_public_is_documented(module: str) -> None:
    """Every public module, class, function, method and property has a docstring, or inherits one."""
    namespace = importlib.import_module(module)
    assert namespace.__doc__, module
    for public, thing in vars(namespace).items():
        if public.startswith("_") or getattr(thing, "__module__", None) != module:
            continue
        if inspect.isfunction(thing) or inspect.isclass(thing):
            assert inspect.getdoc(thing), f"{module}.{public}"
        for member, value in vars(thing).items() if inspect.isclass(thing) else ():
            documented = isinstance(value, property | functools.cached_property) or inspect.isroutine(value)
            if documented and not member.startswith("_"):
                assert inspect.getdoc(getattr(thing, member)), f"{module}.{public}.{member}"


@pytest.mark.slow  # renders all pages
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    """Strictly: every page is in the navigation, every link and reference leads somewhere."""
    pytest.importorskip("mkdocs", reason="needs the extra docs: pip install -e '.[docs]'")
    pytest.importorskip("material", reason="needs the extra docs: pip install -e '.[docs]'")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    # without the hook, whose processes take most of the time
    build(load_config(str(ROOT / "mkdocs.yml"), hooks=[], site_dir=str(tmp_path)))
    html = [path.read_text() for path in tmp_path.rglob("*.html")]
    assert len(html) > len(DOCS)
    for text in html:
        assert not re.findall(r'<(?:script|img|iframe)[^>]*src="?(https?:[^" ]+)', text)
        assert not re.findall(r'<link[^>]*rel="?stylesheet"?[^>]*href="?(https?:[^" ]+)', text)


def test_the_example_runs(synthetic_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FMNIST_DATA", str(synthetic_root))
    namespace: dict[str, Any] = {"__name__": "__main__"}
    run((ROOT / "examples" / "quickstart.py").read_text(), "quickstart.py", namespace)
    assert len(namespace["data"].val_indices) == 100
    assert namespace["right"]["LeNet-5"].mean() > 0.5
    assert (tmp_path / "quickstart.png").stat().st_size > 10_000
