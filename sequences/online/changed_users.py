"""Which users the next materialization must read, from the mart `changed_users` (`dbt/models/marts/changed_users.sql`)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb

CHANGED_USERS = "changed_users.parquet"


def newest_build(marts: Path) -> int:
    """The newest build that changed users; 0 if that is not known. Read it before the marts, which a build publishes earlier."""
    path = marts / CHANGED_USERS
    if not path.exists():
        return 0
    with duckdb.connect() as connection:
        (build,) = connection.execute("select max(build) from read_parquet(?)", [str(path)]).fetchone() or (None,)
    return build or 0


def changed_since(marts: Path, build: int, since: datetime, until: datetime) -> list[str] | None:
    """Sorted users with other rows than in an earlier build, or with events that became known meanwhile.

    Args:
        marts: Folder of the published marts.
        build: The build whose rows were read before; 0: it is not known.
        since: Time before which events were read then (naive UTC).
        until: Time before which events are read now.

    Returns:
        None if all users may have other rows: the builds since then are not known, or one of them was of all events.
    """
    path = marts / CHANGED_USERS
    if not build or not path.exists():
        return None
    with duckdb.connect() as connection:
        known = connection.execute("select 1 from read_parquet(?) where build = ? limit 1", [str(path), build])
        if known.fetchone() is None:
            return None
        users = connection.execute(
            "select user_id from read_parquet($changed) where build > $build union"
            " select user_id from read_parquet($events) where known_at >= $since and known_at < $until order by user_id",
            {
                "changed": str(path),
                "build": build,
                "events": str(marts / "events.parquet"),
                "since": since,
                "until": until,
            },
        )
        return [str(user) for (user,) in users.fetchall()]
