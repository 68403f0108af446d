"""The table of warm and cold fits, and when days are fitted again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from training.ablations import warm_start
from training.ablations.warm_start import DAYS, DayResult, render
from training.engine.workspace import Workspace


def test_table_leaves_cold_days_out_and_pairs_days() -> None:
    def result(day: int, cold: float, warm: float) -> DayResult:
        seconds = {"cold": 100.0, "warm": 100.0 if day in (1, 8) else 40.0}
        return DayResult(f"2026-06-{day:02d}", "realtime", seconds, {"cold": cold, "warm": warm})

    warm_days = [result(2, 0.50, 0.51), result(3, 0.60, 0.61), result(9, 0.70, 0.71)]
    page = render([result(1, 9.0, 9.0), *warm_days, result(8, 9.0, 9.0)], "small")
    assert "3 days with warm fits" in page
    (row,) = [line for line in page.splitlines() if line.startswith("| realtime")]
    assert row == "| realtime | 100.0 | 40.0 | 0.40 | 0.6000 | 0.6100 | +0.0100 (+0.0100 to +0.0100) |"


def test_days_are_fitted_again_for_other_code_and_marts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[str] = []

    def fit_day(here: Any, folder: Path, day: str, recipe: str, models: Any) -> list[dict[str, object]]:
        fitted.append(day)
        values = {"cold": 1.0, "warm": 1.0}
        return [{"day": day, "model": "realtime", "processor": values, "objective": values}]

    def fitted_days() -> int:
        fitted.clear()
        here = Workspace(tmp_path / "training" / "2026-06-10-debug", tmp_path / "marts", "2026-06-10", "debug")
        warm_start.report(here, tmp_path / "ablations")
        return len(fitted)

    monkeypatch.setenv("SEGUE_HOME", str(tmp_path))
    monkeypatch.delenv("SEGUE_TABLES", raising=False)
    (tmp_path / "landing" / "listening_events").mkdir(parents=True)
    (tmp_path / "marts").mkdir()
    pl.DataFrame({"track_id": ["t1"]}).write_parquet(tmp_path / "marts" / "plays.parquet")
    monkeypatch.setattr(warm_start, "_fit_day", fit_day)
    assert (fitted_days(), fitted_days()) == (DAYS, 0)
    pl.DataFrame({"track_id": ["t2"]}).write_parquet(tmp_path / "marts" / "plays.parquet")
    assert (fitted_days(), fitted_days()) == (DAYS, 0)
    monkeypatch.setattr(warm_start, "code_hash", lambda *modules: "other code")
    assert (fitted_days(), fitted_days()) == (DAYS, 0)
