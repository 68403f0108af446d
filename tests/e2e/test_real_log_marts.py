"""On real listening logs the plays equal a reference implementation of split, clock and sessions, row by row."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import polars as pl
import pytest

from config import settings
from ingestion.land import land
from tests.support.landing_zone import built
from tests.support.log_sources import copy_first_rows
from tests.support.training import reference_metrics

SHARED = settings.ROOT.parent / "shared"
LOGS = SHARED / "data" / "listening_logs"
REFERENCE = SHARED / "anchors" / "cases.py"
FEW_ROWS = 60_000

pytestmark = pytest.mark.skipif(not LOGS.is_dir() or not REFERENCE.is_file(), reason="../shared has no listening logs")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """The first rows of the logs, or all rows with SEGUE_ACCEPTANCE."""
    if os.environ.get("SEGUE_ACCEPTANCE"):
        return LOGS
    return copy_first_rows(LOGS, tmp_path / "logs", FEW_ROWS)


def test_plays_equal_those_of_the_reference(tmp_path: Path, logs: Path) -> None:
    cases = reference_metrics.script("cases.py")
    assert cases is not None
    home = tmp_path / "home"
    land(logs, home)
    built(home, as_of="2026-07-01")
    expected = cases.load_plays(logs).select(
        pl.col("user_id", "track_id", "artist_id").cast(pl.String),
        pl.col("sequence_number", "known_at", "request_at", "ms_played").cast(pl.Int64),
        "part",
        pl.col("session").cast(pl.Int64),
        pl.col("label").cast(pl.Boolean),
    )
    found = duckdb.sql(f"""
        select
            user_id, track_id, artist_id, play_number, epoch_us(known_at) as known_at, epoch_us(request_at) as request_at,
            played_ms, part, session_id, is_listened
        from '{home}/marts/plays.parquet'
    """).pl()
    renamed = found.rename({"played_ms": "ms_played", "play_number": "sequence_number", "is_listened": "label"})
    both = expected.join(renamed, on=["user_id", "sequence_number"], how="full", suffix="_found")
    assert both.height == expected.height == found.height
    for column in ("known_at", "request_at", "track_id", "artist_id", "ms_played", "part", "label"):
        assert both.filter(pl.col(column).ne_missing(pl.col(f"{column}_found"))).height == 0, column
    # The same partition into sessions; session ids differ.
    pairs = both.select(pl.struct("user_id", "session").alias("ours"), pl.col("session_id").alias("theirs")).unique()
    assert pairs.height == pairs["theirs"].n_unique() == pairs["ours"].n_unique()
