"""The structure that README's map describes: imports go down only, and no file imports itself in a circle."""

import ast
import graphlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (
    ("core",),
    ("data", "pictures", "models", "figures"),
    ("training", "baselines"),
    ("inference",),
    ("robustness", "explanation"),
    ("evaluation",),
    ("scripts",),
)
"""Packages from the ground up: each imports packages of lower floors, and its own files."""
FLOOR = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}


def name_of(path: Path) -> str:
    """Return a file's dotted module name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    name_of(path): path for folder in ("fmnist", "scripts") for path in sorted((ROOT / folder).rglob("*.py"))
}


def package_of(module: str) -> str:
    """Return ``data`` for ``fmnist.data.source``, ``scripts`` for a script, ``core`` for ``fmnist`` itself."""
    parts = module.split(".")
    if parts[0] == "scripts":
        return "scripts"
    return parts[1] if len(parts) > 1 and parts[1] in FLOOR else "core"


def imported_names(tree: ast.Module, module: str, package: bool) -> Iterator[str]:
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
    return list(imported_names(ast.parse(path.read_text()), module, path.name == "__init__.py"))


def forbidden(module: str, imported: list[str]) -> list[str]:
    """Return the imports that go up or sideways."""
    package = package_of(module)
    ours = [name for name in imported if name.split(".")[0] in ("fmnist", "scripts")]
    return [
        name for name in ours if package_of(name) != package and FLOOR[package_of(name)] >= FLOOR[package]
    ]


def module_of(name: str) -> str | None:
    """Return the module of ours that an imported name lies in."""
    parts = name.split(".")
    candidates = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((candidate for candidate in candidates if candidate in FILES), None)


@pytest.mark.parametrize("module", FILES)
def test_imports_only_go_down(module: str) -> None:
    known = module == "fmnist" or module.split(".")[0] == "scripts" or module.split(".")[1] in FLOOR
    assert known, f"{module} lies in a package that FLOORS does not list"
    assert not forbidden(module, imports_of(module))


@pytest.mark.parametrize(
    ("module", "line", "wrong"),
    [
        ("fmnist.data.source", "from fmnist.models.mlp import MLP", "fmnist.models.mlp.MLP"),
        ("fmnist.core.runs", "import fmnist.figures", "fmnist.figures"),
        (
            "fmnist.models.mlp",
            "def f():\n    from ..training import command_line",
            "fmnist.training.command_line",
        ),
        ("fmnist.training.command_line", "import scripts.train", "scripts.train"),
        ("fmnist.data.source", "from fmnist.core.runs import Run", None),
        ("fmnist.models.mlp", "from fmnist import CLASSES\nfrom .layers import Normalize", None),
        ("scripts.train", "from fmnist.training.train import main", None),
    ],
)
def test_a_wrong_import_is_found(module: str, line: str, wrong: str | None) -> None:
    names = list(imported_names(ast.parse(line), module, False))
    assert forbidden(module, names) == ([wrong] if wrong else [])


def test_no_file_imports_itself_in_a_circle() -> None:
    graph = {
        module: {other for name in imports_of(module) if (other := module_of(name)) not in (None, module)}
        for module in FILES
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the files


@pytest.mark.parametrize("module", FILES)
def test_nothing_imports_pyplot(module: str) -> None:
    # its global state keeps every figure alive, and it wants a screen
    assert not [name for name in imports_of(module) if name.startswith(("matplotlib.pyplot", "pylab"))]


@pytest.mark.parametrize(
    "module", ["fmnist", "fmnist.core.runs", "fmnist.data.source", "fmnist.pictures", "fmnist.figures"]
)
def test_light_modules_import_nothing_heavy(module: str) -> None:
    heavy = ("torch", "torchvision", "lightning", "sklearn", "torchmetrics")
    code = f"import sys, {module}; print(*(name for name in {heavy} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
