"""The import graph has no cycles, and every package has a layer."""

from __future__ import annotations

import tomllib
from graphlib import TopologicalSorter

import grimp

from config import settings

LINTER = tomllib.loads((settings.ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PACKAGES: list[str] = LINTER["root_packages"]


def test_modules_do_not_import_each_other() -> None:
    """Imports inside functions and under TYPE_CHECKING count."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    in_order = TopologicalSorter({name: graph.find_modules_directly_imported_by(name) for name in graph.modules})
    assert {*in_order.static_order()} >= graph.modules  # the error names the modules of a cycle


def test_every_package_has_a_layer() -> None:
    packages = {path.parent.name for path in settings.ROOT.glob("*/__init__.py")} - {"tests", "research", "clients"}
    layers = next(contract["layers"] for contract in LINTER["contracts"] if "containers" not in contract)
    assert packages == set(PACKAGES)
    assert {name.strip() for layer in layers for name in layer.replace(":", "|").split("|")} == packages
