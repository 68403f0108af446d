"""The import graph has no cycles, every package has a layer, and folders stay small."""

from __future__ import annotations

import tomllib
from collections import Counter

import grimp
import pytest

from config import settings

MAX_MODULES_PER_FOLDER = 15
LINTER = tomllib.loads((settings.ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES: list[str] = LINTER["root_packages"]
SCRIPT_FOLDERS = ("dags", "feature_repo")
"""Folders of code that is no package: their files are loaded by Airflow and Feast."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, cache_dir=None)


def import_cycles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other: the strongly connected components with several modules (Tarjan, 1972)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    cycles: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = lowest[module] = len(index)
        stack.append(module)
        for imported in sorted(imports[module]):
            if imported not in index:
                visit(imported)
                lowest[module] = min(lowest[module], lowest[imported])
            elif imported in stack:
                lowest[module] = min(lowest[module], index[imported])
        if lowest[module] == index[module]:
            start = stack.index(module)
            component = stack[start:]
            del stack[start:]
            if len(component) > 1:
                cycles.append(sorted(component))

    for module in sorted(imports):
        if module not in index:
            visit(module)
    return cycles


def test_cycles_are_found() -> None:
    assert import_cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]
    assert import_cycles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_modules_do_not_import_each_other(graph: grimp.ImportGraph) -> None:
    """Imports inside functions and under TYPE_CHECKING count."""
    assert import_cycles({module: graph.find_modules_directly_imported_by(module) for module in graph.modules}) == []


def test_every_package_has_a_layer() -> None:
    packages = {path.parent.name for path in settings.ROOT.glob("*/__init__.py")} - {"tests", "research", "clients"}
    layers = next(contract["layers"] for contract in LINTER["contracts"] if "containers" not in contract)
    assert packages == set(PACKAGES)
    assert {name.strip() for layer in layers for name in layer.replace(":", "|").split("|")} == packages


@pytest.mark.parametrize("package", [*PACKAGES, *SCRIPT_FOLDERS])
def test_folders_hold_at_most_fifteen_modules(package: str) -> None:
    files = [path for path in (settings.ROOT / package).rglob("*.py") if path.name != "__init__.py"]
    modules = Counter(str(path.parent.relative_to(settings.ROOT)) for path in files)
    assert {folder: count for folder, count in modules.items() if count > MAX_MODULES_PER_FOLDER} == {}
