"""Landing our own events, checked, deduplicated and partitioned, beside polars that only reads and writes the same file."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import polars as pl

from benchmarks.result import Result, compare_rates
from ingestion.land import land


def run_throughput(rows: int) -> Result:
    """Rows a second for about `rows` events of a simulated world."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = ["--users", "400", "--tracks", "4000", "--days", "20", "--seed", "1", "--out", str(folder / "world")]
        subprocess.run([sys.executable, "-m", "ingestion.simulate", *world], check=True, capture_output=True)
        files = sorted((folder / "world").glob("**/listening_events/**/*.parquet"))
        events = pl.read_parquet([str(file) for file in files], hive_partitioning=False).head(rows)
        (folder / "log").mkdir()
        events.write_parquet(folder / "log" / "listening_events.parquet")

        def ours() -> None:
            shutil.rmtree(folder / "home", ignore_errors=True)
            counts = land(folder / "log", folder / "home")
            landed = sum(count.landed for count in counts.values())
            assert landed == events.height, f"{landed:,} of {events.height:,} rows landed"

        def polars() -> None:
            pl.read_parquet(folder / "log" / "listening_events.parquet").write_parquet(folder / "copy.parquet")

        return compare_rates(
            "land_events", "rows/s", "polars read_parquet + write_parquet", events.height, ours, polars
        )
