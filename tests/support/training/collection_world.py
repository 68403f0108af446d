"""The tiny world with playlists and mlogs, and events of users opening them."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from tests.support.training.tiny_world import SERVICES, random_plays, write_marts
from training.data.training_data import TrainingData
from training.recipes import recipe

PLAYLISTS = {f"p{n}": [f"t{n}", f"t{n + 3}", f"t{n + 6}"] for n in range(12)} | {
    "p90": ["t39", "nowhere"],
    "p91": ["nowhere"],
    "p92": [],
}
MLOGS = {f"m{n}": [f"t{3 * n}"] for n in range(6)} | {"p1": ["t2"]}


def collection_marts(folder: Path, opened: list[tuple[str, str, str, datetime, str]], split: str = "user_time") -> Path:
    """Marts of the tiny world with PLAYLISTS, MLOGS and events `opened`: (user, action, target, time, context)."""
    marts = write_marts(folder, random_plays())
    for mart, table in (("playlists", PLAYLISTS), ("mlogs", MLOGS)):
        rows = {
            f"{mart[:-1]}_id": list(table),
            "title": [f"The {name}" for name in table],
            "track_ids": list(table.values()),
        }
        pl.DataFrame(rows).write_parquet(marts / f"{mart}.parquet")
    add_events(marts, opened)
    boundaries = {"validation_from": [datetime(2024, 1, 19)], "test_from": [datetime(2024, 1, 21)]}
    pl.DataFrame({"split": [split]} | boundaries).write_parquet(marts / "time_split.parquet")
    return marts


def add_events(marts: Path, opened: list[tuple[str, str, str, datetime, str]]) -> None:
    """Add events to the mart, each known at the time it occurred."""
    events = pl.read_parquet(marts / "events.parquet").with_columns(context_id=pl.lit(None, pl.String))
    rows = [
        {
            "event_id": f"opened-{number:06d}",
            "user_id": user,
            "event_number": 1_000_000 + number,
            "known_at": at,
            "request_at": at - timedelta(microseconds=1),
            "occurred_at": at,
            "ended_at": at,
            "action": action,
            "behavior": "full_play" if action == "play" else action,
            "target_type": target.split(":")[0],
            "target_id": target.split(":")[1],
            "track_id": target.split(":")[1] if target.startswith("track:") else None,
            "context_id": context or None,
        }
        for number, (user, action, target, at, context) in enumerate(opened)
    ]
    if rows:
        added = pl.DataFrame(rows).with_columns(
            pl.col("known_at", "request_at", "occurred_at", "ended_at").cast(pl.Datetime("us"))
        )
        events = pl.concat([events, added], how="diagonal_relaxed")
    events.sort("user_id", "known_at").write_parquet(marts / "events.parquet")


def of(marts: Path, fit: str = "held_out") -> TrainingData:
    return TrainingData(marts, fit, recipe("debug"), services=SERVICES)
