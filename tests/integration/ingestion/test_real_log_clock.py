"""Clock of the real play log, row by row against the reference implementation in ../shared."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from config import settings
from ingestion.land import land
from tests.support.log_sources import landed
from tests.support.training import reference_metrics

SHARED = settings.ROOT.parent / "shared"
SECOND = 1_000_000


@pytest.mark.skipif(not (SHARED / "data" / "listening_logs").exists(), reason="no real logs in ../shared")
def test_the_clock_equals_the_reference_on_the_real_logs(tmp_path: Path) -> None:
    cases = reference_metrics.script("cases.py")
    assert cases is not None
    expected = cases.load_plays(SHARED / "data" / "listening_logs").sort("user_id", "sequence_number")
    land(SHARED / "data" / "listening_logs", tmp_path / "home")
    events = landed(tmp_path / "home").with_columns(pl.col("user_id", "target_id").cast(pl.Int64))
    events = events.sort("user_id", "sequence_number")
    assert events.height == expected.height == events["event_id"].n_unique()
    # dbt makes the clock strictly increasing; the same adjustment as in the reference.
    previous = expected.select(pl.col("known_at").shift(1).over("user_id")).to_series()
    lifted = pl.select(
        pl.min_horizontal(
            pl.max_horizontal(events["occurred_at"].dt.timestamp("us"), previous + 1), expected["known_at"] - 1
        )
    ).to_series()
    assert (lifted == expected["request_at"]).all()
    assert (events["ended_at"].dt.timestamp("us") == expected["ts"] * SECOND).all()
    assert (events["target_id"] == expected["track_id"]).all()
    assert (events["played_ms"] == expected["ms_played"]).all()
    assert (events["sequence_number"] == expected["sequence_number"]).all()
