"""`python -m local.land --logs PATH --recipe NAME`: lands logs; without `--logs` the simulated world, if nothing is landed.

If logs have been landed before and none are given, the pipeline continues with them: a simulated world must not be mixed with
real logs. `--events` lands what the recommender recorded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ingestion.land
from config.command_line import report_errors
from config.settings import SettingError, Settings, load_settings
from ingestion.simulate import MANIFEST, WORLD_SIZES, simulate
from local.home import HomeFormatError, check_home_format
from storage import object_store
from storage.errors import StorageError


def list_landed_sources(settings: Settings) -> list[str]:
    """Names of the landed sources, without the recommender's own events (which have no split)."""
    files = [str(file) for file in object_store.list_files(settings.landing / "landings", "dt=*/*.parquet")]
    if not files:
        return []
    query = "select distinct source from read_parquet(?) where split is not null order by source"
    with object_store.connect_duckdb(settings.landing) as connection:
        return [str(source) for (source,) in connection.execute(query, [files]).fetchall()]


def simulate_world(settings: Settings, recipe: str) -> Path:
    """Folder of the recipe's simulated world, generated unless it is complete. It ends yesterday, as a real log would."""
    world, folder = WORLD_SIZES[recipe], settings.home / "simulated" / recipe
    if not (folder / MANIFEST).exists():
        print(f"simulating {world.users:,} users, {world.tracks:,} tracks, {world.days} days", flush=True)
        shutil.rmtree(folder, ignore_errors=True)  # what an interrupted simulation has left
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        simulate(replace(world, last_day=settings.simulated_last_day or yesterday.isoformat()), folder)
    return folder


def land(settings: Settings, logs: str | None, recipe: str) -> int:
    """Land `logs`, or the simulated world if nothing is landed and no music server is configured; return the exit code."""
    if logs:
        return ingestion.land.main([logs])
    if sources := list_landed_sources(settings):
        print(f"no logs given: continuing with the logs landed in {settings.landing}: {', '.join(sources)}")
    elif os.environ.get("SEGUE_SUBSONIC_URL"):
        print("no logs given: continuing with what the music server scrobbles")
    else:
        print("no logs given: using simulated listeners (to use your own: LOGS=PATH)")
        return ingestion.land.main([str(simulate_world(settings, recipe))])
    return 0


@report_errors(SettingError, HomeFormatError, StorageError)
def main(arguments: list[str] | None = None) -> int:
    """Land logs, the simulated world, or what the recommender recorded."""
    parser = argparse.ArgumentParser(prog="python -m local.land", description="Land listening logs")
    parser.add_argument(
        "--logs", default=None, help="file or folder; empty: landed logs, otherwise the simulated world"
    )
    parser.add_argument("--recipe", default="small", choices=list(WORLD_SIZES), help="size of the simulated world")
    parser.add_argument("--events", action="store_true", help="land what the recommender recorded instead")
    options = parser.parse_args(arguments)
    settings = load_settings()
    check_home_format(settings)
    if options.events:
        return ingestion.land.main(["--events"])
    return land(settings, options.logs or None, options.recipe)


if __name__ == "__main__":
    sys.exit(main())
