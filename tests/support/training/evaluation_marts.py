"""Hand-made marts of a few users with the columns that training reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from tests.support.training.tiny_world import CONTENT_TYPES

FIRST = datetime(2024, 1, 1)


@dataclass(frozen=True)
class Play:
    """One play."""

    user: str
    hours: float  # end of the play, from FIRST
    track: str
    session: int
    part: str = "train"
    played_ms: int = 60_000
    scene: str | None = None
    context: str | None = None  # playlist or other context


def write(folder: Path, plays: list[Play], artist_of: dict[str, str]) -> Path:
    """Write `plays`, `events`, `tracks` and `track_statistics`; tracks played outside the test part are in the catalog."""
    rows, numbers = [], dict.fromkeys({play.user for play in plays}, 0)
    for play in sorted(plays, key=lambda play: (play.user, play.hours)):
        ended = FIRST + timedelta(hours=play.hours)
        number = numbers[play.user]
        numbers[play.user] += 1
        rows.append(
            {
                "event_id": f"{play.user}-{number}",
                "user_id": play.user,
                "play_number": number,
                "event_number": number,
                "known_at": ended,
                "request_at": ended - timedelta(milliseconds=play.played_ms),
                "ended_at": ended,
                "track_id": play.track,
                "artist_id": artist_of[play.track],
                "played_ms": play.played_ms,
                "played_ratio": min(1.0, play.played_ms / 60_000),
                "behavior": "skip" if play.played_ms < 30_000 else "full_play",
                "is_listened": play.played_ms >= 30_000,
                "is_skip": play.played_ms < 30_000,
                "is_full_play": play.played_ms >= 54_000,
                "session_id": f"{play.user}-{play.session}",
                "part": play.part,
                "scene": play.scene,
                "context_id": play.context,
                "request_id": None,
                "position": None,
            }
        )
    frame = pl.DataFrame(
        rows,
        schema_overrides={"scene": pl.String, "context_id": pl.String, "request_id": pl.String, "position": pl.Int32},
    )
    frame.write_parquet(folder / "plays.parquet", mkdir=True)
    frame.select(
        "event_id",
        "user_id",
        "event_number",
        "known_at",
        "request_at",
        pl.col("request_at").alias("occurred_at"),
        "ended_at",
        pl.lit("play").alias("action"),
        "behavior",
        pl.lit("track").alias("target_type"),
        pl.col("track_id").alias("target_id"),
        "track_id",
        "artist_id",
        "played_ms",
        "played_ratio",
        "session_id",
        "scene",
        "context_id",
        "request_id",
        "position",
    ).write_parquet(folder / "events.parquet")
    played = {play.track for play in plays if play.part != "test"}
    facets = {name: [] for name in ("languages", "styles", "scenes", "emotions", "themes", "territories")}
    pl.DataFrame(
        [
            {
                "track_id": track,
                "title": f"Song {track}",
                "artist_id": artist,
                "artist_ids": [artist],
                "artist_names": [f"Artist {artist}"],
                "duration_ms": 60_000,
                "is_duration_estimated": True,
                "is_explicit": None,
                "recording_id": None,
                "album_id": None,
                "available_from": None,
                "available_until": None,
                "released_on": None,
                "is_in_catalog": track in played,
                **dict.fromkeys(CONTENT_TYPES),
                **facets,
            }
            for track, artist in sorted(artist_of.items())
        ],
        schema_overrides={
            "is_explicit": pl.Boolean,
            "recording_id": pl.String,
            "album_id": pl.String,
            "available_from": pl.Datetime("us"),
            "available_until": pl.Datetime("us"),
            "released_on": pl.Date,
            **CONTENT_TYPES,
            **dict.fromkeys(facets, pl.List(pl.String)),
        },
    ).write_parquet(folder / "tracks.parquet")
    counted = frame.group_by("track_id", known_at=pl.col("known_at").dt.truncate("1d").dt.offset_by("1d")).agg(
        plays_total=pl.len().cast(pl.Int64),
        listens_total=pl.col("is_listened").sum().cast(pl.Int64),
        full_plays_total=pl.col("is_full_play").sum().cast(pl.Int64),
        skips_total=pl.col("is_skip").sum().cast(pl.Int64),
    )
    totals = [
        pl.col(name).cum_sum().over("track_id")
        for name in ("plays_total", "listens_total", "full_plays_total", "skips_total")
    ]
    counted.sort("track_id", "known_at").with_columns(
        *totals, likes_total=pl.lit(0, dtype=pl.Int64), plays_7d=pl.col("plays_total"), plays_28d=pl.col("plays_total")
    ).write_parquet(folder / "track_statistics.parquet")
    return folder
