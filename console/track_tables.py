"""What landing made of the tracks of several sources: matches, conflicts, and sounds that are not recommended."""

from __future__ import annotations

from typing import Any

import polars as pl

from config.settings import Settings
from storage import content_tables, object_store
from training.content.music_detection import find_other_sounds, find_unheard

MAX_TRACKS = 100
"""Listed tracks of a kind; their number is given in any case."""


def read_track_tables(settings: Settings) -> dict[str, tuple[int, list[tuple[Any, ...]]]]:
    """Tables of landed tracks → number of their rows, and the first ones: how tracks of several sources were `matched`,
    `conflicts`, `sounds` that are not music, and `unheard` files.
    """
    marts = object_store.fetch_marts(settings, are_changes_applied=False)
    if not (marts / "track_aliases.parquet").exists():
        return {}
    titles = pl.scan_parquet(marts / "tracks.parquet").select("track_id", pl.col("title").fill_null("")).collect()
    matched = pl.read_parquet(marts / "track_aliases.parquet").group_by("matched_by").len().sort("matched_by")
    conflicts = pl.read_parquet(marts / "track_conflicts.parquet").join(titles, on="track_id", how="left")
    tables = {"matched": matched, "conflicts": conflicts.select("conflict", "title", "track_id", "other_id").sort("*")}
    audio = content_tables.table_file(marts, "audio")
    if audio.exists():
        sounds = find_other_sounds(audio).join(titles, on="track_id", how="left").sort("music_probability", "track_id")
        tables["sounds"] = sounds.select("title", "track_id", pl.col("music_probability").round(2))
        tracks, plays = pl.read_parquet(marts / "tracks.parquet"), pl.scan_parquet(marts / "plays.parquet")
        tables["unheard"] = titles.filter(pl.col("track_id").is_in(find_unheard(tracks, audio, plays)))
    return {name: (rows.height, rows.head(MAX_TRACKS).rows()) for name, rows in tables.items()}
