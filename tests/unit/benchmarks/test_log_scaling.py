"""The synthetic landing zones satisfy the contract, and the growth exponent is the slope."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest

from benchmarks.data import log_scaling, synthetic_log
from ingestion import contract
from ingestion.row_validation import conform

LATEST = datetime.combine(synthetic_log.FIRST_DAY + timedelta(days=synthetic_log.DAYS), time(), UTC)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    assert synthetic_log.write_landing_zone(folder, synthetic_log.LogSize(20_000)) == pytest.approx(20_000, rel=0.05)
    return folder


def landed(home: Path, table: str, day: str = "2026-*") -> pl.DataFrame:
    return pl.read_parquet(home / "landing" / table / f"dt={day}" / "*.parquet", hive_partitioning=False)


@pytest.mark.parametrize("table", ["listening_events", "tracks", "artists"])
def test_every_row_satisfies_the_contract(home: Path, table: str) -> None:
    rows = landed(home, table)
    checked = conform(table, rows.select(contract.source_schema(table).names), LATEST)
    assert checked["reason"].drop_nulls().to_list() == []
    assert rows.height > 30
    key = list(contract.KEYS[table])
    assert rows.select(key).n_unique() == rows.height


def test_a_partition_has_the_events_of_its_day_in_order(home: Path) -> None:
    days = sorted(path.name.removeprefix("dt=") for path in (home / "landing" / "listening_events").glob("dt=2026-*"))
    assert len(days) == synthetic_log.DAYS
    for day in days:
        rows = landed(home, "listening_events", day)
        assert rows["ended_at"].dt.strftime("%Y-%m-%d").unique().to_list() == [day]
        assert rows.equals(rows.sort("user_id", "ended_at", "sequence_number"))


def test_a_share_of_the_impressions_is_played(home: Path) -> None:
    rows = landed(home, "listening_events")
    shown = rows.filter(pl.col("action") == "impression")
    played = rows.filter((pl.col("action") == "play") & pl.col("request_id").is_not_null())
    both = shown.join(played, on=["user_id", "request_id", "target_id"])
    assert both.height == played.height > 500
    assert 0.3 < both.height / shown.height < 0.5


def test_growth_exponent_is_the_slope() -> None:
    sizes = [{"events": 10**n, "stages": {"build": {"seconds": 3 * 10 ** (1.2 * n)}}} for n in (3, 4, 5)]
    assert log_scaling._growth_exponent(sizes, "build", "seconds") == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [
        (10_000_000, [1_000_000, 10_000_000]),
        (100_000_000, [1_000_000, 10_000_000, 100_000_000]),
        (50_000, [5_000, 50_000]),
    ],
)
def test_sizes_grow_by_ten(rows: int, sizes: list[int]) -> None:
    assert log_scaling._event_counts(rows) == sizes
