"""`python -m ingestion.as_of`: print the day after the newest landed event (YYYY-MM-DD), the default `as_of`."""

from __future__ import annotations

import argparse
import sys
from datetime import date, timedelta
from pathlib import Path

from config import settings
from storage import object_store


def default_as_of(tables: Path) -> date:
    """Return the UTC day after the newest `ended_at`, on which all landed events are known.

    Args:
        tables: Folder of the landing zone; may be on object storage.

    Raises:
        LookupError: No event has been landed.
    """
    folder = tables / "landing" / "listening_events"
    files = [str(file) for file in object_store.list_files(folder, "dt=*/*.parquet")]
    with object_store.connect_duckdb(folder) as connection:
        newest = connection.execute("select max(ended_at) from read_parquet(?)", [files]).fetchone() if files else None
    if newest is None or newest[0] is None:
        raise LookupError(f"{tables} holds no landed event; land some logs first: python -m ingestion.land PATH")
    day: date = newest[0].date()
    return day + timedelta(days=1)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ingestion.as_of", description=__doc__)
    parser.add_argument("--home", type=Path, default=None, help="where Segue writes (default: SEGUE_HOME)")
    options = parser.parse_args(arguments)
    try:
        here = settings.load_settings()
        print(default_as_of(here.tables if here.tables_url else options.home or here.home).isoformat())
    except (LookupError, object_store.StorageError, settings.SettingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
