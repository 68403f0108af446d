"""Thresholds shared by SQL and Python are defined once, as variables in dbt/dbt_project.yml."""

from __future__ import annotations

import pytest

from config import settings
from config.settings import load_dbt_variables
from ingestion.readers.parsing import named_plays
from sequences.behaviors import load_behaviors


def test_python_reads_dbts_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_behaviors().session_gap_minutes == load_dbt_variables()["session_gap_minutes"]
    monkeypatch.setattr(named_plays, "load_dbt_variables", lambda: {"clock_granularity_minutes": 3})
    assert named_plays.clock_granularity_us() == 180_000_000


def test_the_page_has_dbts_share_of_a_full_play() -> None:
    engine = (settings.ROOT / "serving/page/engine.js").read_text(encoding="utf-8")
    assert f"FULL_PLAY_SHARE = {load_behaviors().full_play_ratio};" in engine
