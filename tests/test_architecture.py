"""The plan of the house, held: imports only go down, files stay short, every module has its tests."""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STOREYS = (
    ("fmnist", "fmnist.errors"),
    ("fmnist.data", "fmnist.models", "fmnist.figures", "fmnist.runs", "fmnist.calibration"),
    ("fmnist.training", "fmnist.baselines"),
    ("fmnist.inference",),
    ("fmnist.evaluation", "fmnist.explanation"),
    ("scripts",),
)
"""Rooms from the ground up; a room imports rooms of lower storeys, and its own files."""
STOREY = {room: storey for storey, rooms in enumerate(STOREYS) for room in rooms}
LONGEST = 300  # lines: a file one reads in one sitting


def name_of(path: Path) -> str:
    """Return a file's dotted module name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    name_of(path): path for folder in ("fmnist", "scripts") for path in sorted((ROOT / folder).rglob("*.py"))
}


def room_of(module: str) -> str:
    """Return the room of a module, or of a name imported from one; ``fmnist`` itself holds the rest."""
    parts = module.split(".")
    if parts[0] == "scripts":
        return "scripts"
    room = ".".join(parts[:2])
    known = room in STOREY or room in FILES
    return room if known else "fmnist"


def imports(tree: ast.Module, module: str, package: bool) -> Iterator[str]:
    """Yield every name that a file imports, wherever in the file, as dotted absolute names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            inside = module if package else module.rpartition(".")[0]
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), inside)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(module: str) -> list[str]:
    path = FILES[module]
    return list(imports(ast.parse(path.read_text()), module, path.name == "__init__.py"))


def wrong_ways(module: str, imported: list[str]) -> list[str]:
    """Return the imports that go up or sideways."""
    room = room_of(module)
    ours = [name for name in imported if name.split(".")[0] in ("fmnist", "scripts")]
    rooms = {name: room_of(name) for name in ours}
    return [name for name, other in rooms.items() if other != room and STOREY[other] >= STOREY[room]]


@pytest.mark.parametrize("module", FILES)
def test_imports_only_go_down(module: str) -> None:
    assert room_of(module) in STOREY, f"{module} lies in a room that the plan does not know: give it a storey"
    assert not wrong_ways(module, imports_of(module))


@pytest.mark.parametrize(
    ("module", "line", "wrong"),
    [
        ("fmnist.data.source", "from fmnist.models.mlp import MLP", "fmnist.models.mlp.MLP"),
        ("fmnist.data.source", "from fmnist import runs", "fmnist.runs"),
        ("fmnist.runs", "import fmnist.figures", "fmnist.figures"),
        ("fmnist.models.mlp", "def f():\n    from ..training import table", "fmnist.training.table"),
        ("fmnist.errors", "from fmnist.runs import Run", "fmnist.runs.Run"),
        ("fmnist.training.table", "import scripts.train", "scripts.train"),
        ("fmnist.models.mlp", "from fmnist import CLASSES\nfrom .layers import Normalize", None),
        ("fmnist.training.table", "from fmnist.runs import Run\nfrom fmnist import figures", None),
        ("scripts.train", "from fmnist.training.train import main", None),
    ],
)
def test_a_wrong_way_would_be_found(module: str, line: str, wrong: str | None) -> None:
    assert wrong_ways(module, list(imports(ast.parse(line), module, False))) == ([wrong] if wrong else [])


@pytest.mark.parametrize("module", FILES)
def test_nothing_imports_pyplot(module: str) -> None:
    # its global state keeps every figure alive, and it wants a screen
    assert not [name for name in imports_of(module) if name.startswith(("matplotlib.pyplot", "pylab"))]


@pytest.mark.parametrize("module", FILES)
def test_no_file_is_too_long_for_one_sitting(module: str) -> None:
    assert len(FILES[module].read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("module", [name for name, path in FILES.items() if path.name != "__init__.py"])
def test_every_module_has_its_tests(module: str) -> None:
    folders = module.split(".")
    mirror = ROOT.joinpath("tests", *folders[folders[0] == "fmnist" : -1], f"test_{folders[-1]}.py")
    assert mirror.exists(), f"{mirror.relative_to(ROOT)} is missing"


@pytest.mark.parametrize(
    "module",
    [
        "fmnist",
        "fmnist.errors",
        "fmnist.runs",
        "fmnist.data.source",
        "fmnist.data.pictures",
        "fmnist.figures",
    ],
)
def test_light_modules_import_nothing_heavy(module: str) -> None:
    heavy = ("torch", "torchvision", "lightning", "sklearn", "torchmetrics")
    code = f"import sys, {module}; print(*(name for name in {heavy} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
