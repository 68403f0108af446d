"""`python -m ingestion.simulate --users --tracks --days --seed --out FOLDER`: simulate a listening log with catalog.

Writes the contract tables as Parquet. Equal arguments give equal content. One day is simulated and written at a time,
so memory grows with the number of users and tracks, not of days. The descriptions from which previews and covers are rendered go
to `FOLDER/media/`. `World` and `SimulatedUsers` with the same seed have the interests and other latent facets.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from config.command_line import report_errors
from ingestion import landed_tables
from ingestion.simulation import catalog_rows
from ingestion.simulation.day import simulate_day
from ingestion.simulation.event_buffer import Columns, RowWriter
from ingestion.simulation.users import SimulatedUsers
from ingestion.simulation.world import Ints, World, rank_in_group
from media import track_description

MANIFEST = "world.json"
VERSION = 3  # increased when equal arguments give a different log


@dataclass(frozen=True)
class WorldSize:
    """Parameters that determine a simulation."""

    users: int = 2_000
    tracks: int = 5_000
    days: int = 60
    seed: int = 7
    last_day: str = "2026-06-30"  # last simulated day, UTC
    version: int = VERSION


WORLD_SIZES = {
    "debug": WorldSize(users=100, tracks=400, days=20),
    "small": WorldSize(users=240, tracks=4_000, days=40),
    "full": WorldSize(users=20_000, tracks=50_000, days=90),
}
"""Recipe → size of the world that a run without logs simulates."""


def simulate(size: WorldSize, out: Path) -> int:
    """Write a simulation and return its number of events; does nothing if `out` already holds it.

    Raises:
        ValueError, OverflowError: A parameter is out of range, or `out` holds files that are not a simulation.
    """
    parameters = asdict(size)
    manifest = out / MANIFEST
    if manifest.exists():
        existing = json.loads(manifest.read_text())
        if {key: existing.get(key) for key in parameters} == parameters:
            return int(existing["events"])
    elif out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty and is not a simulation; choose another --out")
    if size.users < 1:
        raise ValueError(f"cannot simulate {size.users} users; use at least 1")
    first_day = date.fromisoformat(size.last_day) - timedelta(days=size.days - 1)
    world = World(size.tracks, size.days, size.seed)
    manifest.unlink(missing_ok=True)
    for folder in (*landed_tables.SOURCE_TABLES, "truth", track_description.FOLDER):
        shutil.rmtree(out / folder, ignore_errors=True)

    users = SimulatedUsers(world, size.users, size.days, size.seed)
    writer = RowWriter(world, size.users, size.seed)
    tables = catalog_rows.build_tables(world, first_day, size.seed)
    titles = tables["tracks"]["title"].to_pylist()
    track_description.write_descriptions(catalog_rows.describe_tracks(world, titles, size.seed), out)
    for name, table in tables.items():
        _write(table, out / name / "part.parquet")
    events = 0
    for number in tqdm(range(size.days), desc="simulate", unit="day", disable=None):
        day = first_day + timedelta(days=number)
        columns = simulate_day(world, users, number, size.seed)
        rows = writer.events(columns, day, number, _sequence_numbers(columns, users))
        _write(rows, out / "listening_events" / f"dt={day}" / "part.parquet")
        events += rows.num_rows
    manifest.write_text(json.dumps(parameters | {"events": events}, indent=2) + "\n")
    return events


def _sequence_numbers(columns: Columns, users: SimulatedUsers) -> Ints:
    """Sequence number of each event [E], continuing each user's numbers of the previous days."""
    user_E = columns["user"]
    number_E: Ints = users.sequence_U[user_E] + rank_in_group(user_E)
    users.sequence_U += np.bincount(user_E, minlength=users.users)
    return number_E


def _write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, compression="zstd", compression_level=1)


@report_errors(ValueError, OverflowError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; print the number of events and the rate; return the exit code."""
    default = WorldSize()
    parser = argparse.ArgumentParser(prog="python -m ingestion.simulate", description=__doc__)
    parser.add_argument("--users", type=int, default=default.users)
    parser.add_argument("--tracks", type=int, default=default.tracks)
    parser.add_argument("--days", type=int, default=default.days)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--last-day", default=default.last_day, help="last simulated day, YYYY-MM-DD")
    parser.add_argument("--out", type=Path, required=True, help="folder of the simulation")
    options = parser.parse_args(arguments)
    size = WorldSize(options.users, options.tracks, options.days, options.seed, options.last_day)
    start = time.perf_counter()
    events = simulate(size, options.out)
    seconds = time.perf_counter() - start
    print(
        f"{options.out}: {events:,} events of {size.users:,} users on {size.tracks:,} tracks, "
        f"{events / seconds:,.0f} per second"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
