"""Hand-made mart `exposures` with the columns that experiments reads."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

AT = datetime(2026, 6, 1, 12)
ROW = {
    "event_id": "",
    "request_id": "",
    "user_id": "u",
    "scene": "daily",
    "shown_at": AT,
    "release": "r",
    "arm": "r",
    "target_type": "track",
    "target_id": "t",
    "is_played": False,
    "is_full_play": False,
    "is_skip": False,
    "is_liked": False,
    "is_settled": True,
}


def row(number: int, user: str, arm: str = "r", **columns: Any) -> dict[str, Any]:
    """One exposure of a separate request, `number` seconds after noon."""
    own = {"event_id": f"q{number}-0", "request_id": f"q{number}", "shown_at": AT + timedelta(seconds=number)}
    return ROW | own | {"user_id": user, "arm": arm, "release": arm.rsplit("/", 1)[-1]} | columns


def write(home: Path, rows: list[dict[str, Any]]) -> Path:
    """Write the mart; return the folder of marts."""
    marts = home / "marts"
    marts.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, schema=pl.DataFrame([ROW]).schema).write_parquet(marts / "exposures.parquet")
    return marts
