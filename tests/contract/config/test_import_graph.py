"""The import graph has no cycles, every package has a layer, and folders stay small."""

from __future__ import annotations

import tomllib
from collections import Counter
from graphlib import TopologicalSorter

import grimp
import pytest

from config import settings

LINTER = tomllib.loads((settings.ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES: list[str] = LINTER["root_packages"]


def test_modules_do_not_import_each_other() -> None:
    """Imports inside functions and under TYPE_CHECKING count."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    in_order = list(TopologicalSorter(imports).static_order())  # the error names the modules of a cycle
    assert set(in_order) >= graph.modules


def test_every_package_has_a_layer() -> None:
    packages = {path.parent.name for path in settings.ROOT.glob("*/__init__.py")} - {"tests", "research", "clients"}
    layers = next(contract["layers"] for contract in LINTER["contracts"] if "containers" not in contract)
    assert packages == set(PACKAGES)
    assert {name.strip() for layer in layers for name in layer.replace(":", "|").split("|")} == packages


@pytest.mark.parametrize("package", [*PACKAGES, "dags", "feature_repo"])
def test_folders_hold_at_most_fifteen_modules(package: str) -> None:
    files = [path for path in (settings.ROOT / package).rglob("*.py") if path.name != "__init__.py"]
    modules = Counter(str(path.parent.relative_to(settings.ROOT)) for path in files)
    assert {folder: count for folder, count in modules.items() if count > 15} == {}
