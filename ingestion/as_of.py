"""`python -m ingestion.as_of [--requested DAY]`: print the `as_of` of a run (YYYY-MM-DD).

The default is the day after the newest landed event. A requested day must not be in the future, where no event is known:
the latest one is tomorrow, so that today's events are used, or the default.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from config import settings
from config.command_line import report_errors
from storage import object_store
from storage.errors import StorageError


class FutureDayError(ValueError):
    """A requested day is in the future; the message names it and the latest day that is allowed."""


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


def resolve_as_of(tables: Path, requested: date | None = None, now: datetime | None = None) -> date:
    """Return the requested day if it is not in the future, or the default.

    Args:
        tables: Folder of the landing zone; may be on object storage.
        requested: First unknown day (UTC); None: the default.
        now: Current time; None: the clock.

    Raises:
        LookupError: No event has been landed.
        FutureDayError: The requested day is after tomorrow and after the default.
    """
    default = default_as_of(tables)
    latest = max(default, (now or datetime.now(UTC)).date() + timedelta(days=1))
    if requested is not None and requested > latest:
        raise FutureDayError(
            f"as_of {requested} is in the future: events until then are not known yet; use a day up to {latest}, or omit it "
            f"to use {default}, the day after the newest landed event"
        )
    return requested or default


@report_errors(LookupError, FutureDayError, StorageError, settings.SettingError)
def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ingestion.as_of", description=__doc__)
    parser.add_argument("--requested", type=date.fromisoformat, default=None, help="check this day, YYYY-MM-DD")
    options = parser.parse_args(arguments)
    print(resolve_as_of(settings.load_settings().tables, options.requested).isoformat())
    return 0


if __name__ == "__main__":
    sys.exit(main())
