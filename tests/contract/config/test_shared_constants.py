"""Thresholds shared by SQL and Python are defined once, as variables in dbt/dbt_project.yml."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from config import settings
from config.tool_environment import load_dbt_variables
from ingestion.readers.parsing import play_timestamps
from sequences.behaviours import load_behaviours

PACKAGES = (
    "config",
    "storage",
    "event_store",
    "ingestion",
    "quality",
    "sequences",
    "training",
    "serving",
    "privacy",
    "console",
    "local",
)
SHARED_NAME = re.compile(r"session_gap|clock_granularity|sitting|skip_below|full_play_ratio", re.IGNORECASE)


def assigned_numbers(path: Path) -> list[str]:
    """Names in a module that look like a shared threshold and are assigned an expression with a literal number."""
    copies = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        parts = list(ast.walk(node.value))
        is_loaded = any(isinstance(part, ast.Call) for part in parts)
        is_number = any(isinstance(part, ast.Constant) and isinstance(part.value, int | float) for part in parts)
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        copies += [name for name in names if SHARED_NAME.search(name) and is_number and not is_loaded]
    return copies


def test_no_python_constant_copies_a_dbt_variable() -> None:
    files = [path for package in PACKAGES for path in (settings.ROOT / package).rglob("*.py")]
    assert {str(path): copies for path in files if (copies := assigned_numbers(path))} == {}
    assert len(files) > 200


def test_a_copy_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "copy.py").write_text("SESSION_GAP_US = 30 * 60 * SECOND_US\nsession_gap = load() * 60\n")
    assert assigned_numbers(tmp_path / "copy.py") == ["SESSION_GAP_US"]


def test_no_sql_file_contains_a_copy_of_a_threshold() -> None:
    names = ("session_gap_minutes", "clock_granularity_minutes", "skip_below_ms", "full_play_ratio")
    text = {path: path.read_text(encoding="utf-8") for path in (settings.ROOT / "dbt").rglob("*.sql")}
    for name in names:
        assert any(f'var("{name}")' in sql for sql in text.values()), name
    numbers = re.compile(r"\b(30000|1800|1800000|600000000|1800000000)\b")
    assert [path.name for path, sql in text.items() if numbers.search(sql)] == []


def test_python_reads_dbts_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = load_dbt_variables()
    assert load_behaviours().session_gap_minutes == variables["session_gap_minutes"]
    assert play_timestamps.clock_granularity_us() == variables["clock_granularity_minutes"] * 60_000_000
    monkeypatch.setattr(play_timestamps, "load_dbt_variables", lambda: {"clock_granularity_minutes": 3})
    assert play_timestamps.clock_granularity_us() == 180_000_000


def test_the_page_has_dbts_share_of_a_full_play() -> None:
    engine = (settings.ROOT / "serving/page/playback/engine.js").read_text(encoding="utf-8")
    assert f"FULL_PLAY_SHARE = {load_behaviours().full_play_ratio};" in engine
