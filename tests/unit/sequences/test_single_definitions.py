"""Thresholds and behavior lists have one definition: the dbt project, read through `sequences.behaviours`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from config import settings
from sequences import behaviours

PACKAGES = ("sequences", "training", "serving", "quality", "privacy")
SESSION_GAP_PATTERNS = re.compile(r"session.?gap|gap.?session", re.IGNORECASE)


def source_files() -> Iterator[tuple[Path, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((settings.ROOT / package).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def literal_session_gaps(tree: ast.Module) -> list[str]:
    """Names like SESSION_GAP_S that are assigned an expression of literals only, or `timedelta(minutes=30)`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            has_call = any(isinstance(part, ast.Call) for part in ast.walk(node.value))
            has_number = any(isinstance(part, ast.Constant) for part in ast.walk(node.value))
            if any(SESSION_GAP_PATTERNS.search(name) for name in names) and has_number and not has_call:
                found += names
        if isinstance(node, ast.Call) and ast.unparse(node) == "timedelta(minutes=30)":
            found.append(ast.unparse(node))
    return found


def test_session_gap_is_defined_only_in_the_dbt_project() -> None:
    gaps = {
        str(path.relative_to(settings.ROOT)): names
        for path, tree in source_files()
        if (names := literal_session_gaps(tree))
    }
    assert gaps == {}, "use sequences.behaviours.session_gap_us()"
    assert literal_session_gaps(ast.parse("SESSION_GAP_S = 30 * 60.0")) == ["SESSION_GAP_S"]


def test_session_gap_and_play_behaviours_are_those_of_the_dbt_project() -> None:
    table = behaviours.load_behaviours()
    assert behaviours.session_gap_us() == table.session_gap_minutes * 60_000_000
    assert behaviours.play_behaviours() == ("full_play", "play", "skip")
