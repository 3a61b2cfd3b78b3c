"""Imports: they go down only as in the map of docs/, in no circle, and name what the set-up requires."""

import ast
import functools
import graphlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.test_setup import requirements

ROOT = Path(__file__).parents[1]
FLOORS = (
    ("core",),
    ("pictures",),
    ("data", "models", "figures"),
    ("training", "baselines", "segmentation"),
    ("benchmark",),
    ("inference",),
    ("robustness", "explanation"),
    ("evaluation",),
    ("studies", "demo"),
    ("scripts",),
)
"""Packages from the ground up: each imports packages of lower floors, and its own files."""
DISTRIBUTIONS = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "sklearnex": "scikit-learn-intelex",
    "yaml": "pyyaml",
}
FLOOR = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}


def name_of(path: Path) -> str:
    """Return a file's dotted module name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {
    name_of(path): path for folder in ("fmnist", "scripts") for path in sorted((ROOT / folder).rglob("*.py"))
}


def package_of(module: str) -> str:
    """Return ``data`` for ``fmnist.data.source``, ``scripts`` for a script, ``core`` for ``fmnist``."""
    parts = module.split(".")
    if parts[0] == "scripts":
        return "scripts"
    return parts[1] if len(parts) > 1 and parts[1] in FLOOR else "core"


@functools.cache
def imports_of(module: str) -> list[str]:
    """Return every name that a file imports, wherever in the file, as dotted absolute names."""
    path = FILES[module]
    inside = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), inside)
            names += [f"{base}.{alias.name}" for alias in node.names]
    return names


def module_of(name: str) -> str | None:
    """Return the module of ours that an imported name lies in."""
    parts = name.split(".")
    candidates = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((candidate for candidate in candidates if candidate in FILES), None)


@pytest.mark.parametrize("module", FILES)
def test_imports_only_go_down(module: str) -> None:
    known = module == "fmnist" or module.split(".")[0] == "scripts" or module.split(".")[1] in FLOOR
    assert known, f"{module} lies in a package that FLOORS does not list"
    package, imported = package_of(module), imports_of(module)
    ours = [name for name in imported if name.split(".")[0] in ("fmnist", "scripts")]
    others = [name for name in ours if package_of(name) != package]
    assert not [name for name in others if FLOOR[package_of(name)] >= FLOOR[package]]
    # pyplot's global state keeps every figure alive, and it wants a screen
    assert not [name for name in imported if name.startswith(("matplotlib.pyplot", "pylab"))]


@pytest.mark.parametrize("module", FILES)
def test_every_import_is_required(module: str) -> None:
    for name in {name.split(".")[0] for name in imports_of(module)} - sys.stdlib_module_names - {"fmnist"}:
        assert canonicalize_name(DISTRIBUTIONS.get(name, name)) in requirements(), f"imports {name}"


def test_no_file_imports_itself_in_a_circle() -> None:
    graph = {
        module: {other for name in imports_of(module) if (other := module_of(name)) not in (None, module)}
        for module in FILES
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the files


def test_light_modules_import_nothing_heavy() -> None:
    heavy = ("torch", "torchvision", "lightning", "sklearn", "torchmetrics")
    modules = (
        *("fmnist", "fmnist.core.runs", "fmnist.data.source", "fmnist.pictures", "fmnist.figures"),
        "fmnist.robustness.rendered",  # so that processes that render start quickly
    )
    code = (
        "import importlib, sys\n"
        f"for module in {modules}:\n"
        "    importlib.import_module(module)\n"
        f"    found = [name for name in {heavy} if name in sys.modules]\n"
        "    assert not found, (module, found)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_prediction_by_a_shipped_network_imports_no_more_than_it_needs() -> None:
    heavy = ("lightning", "torchvision", "sklearn", "torchmetrics", "matplotlib")
    code = (
        "import sys; from scripts import predict; predict.main(['lenet5', 'examples/t-shirt.jpg']); "
        f"print(*(name for name in {heavy} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("lenet5: 1 of 1 picture done, 0 unsure\n\n")
