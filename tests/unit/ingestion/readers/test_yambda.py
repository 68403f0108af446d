"""Yambda reader on handmade flat files in their exact format."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ingestion.land import land
from tests.support.log_sources import at, landed, landed_events

IDS = {"uid": pl.UInt32, "timestamp": pl.UInt32, "item_id": pl.UInt32, "is_organic": pl.UInt8}
LISTENS = [(100, 600, 7, 1, 100, 200), (100, 645, 8, 0, 4, 150), (200, 86_400, 7, 1, 130, 200)]
FEEDBACK = [(100, 650, 7, 1), (100, 655, 7, 1)]


def flat(folder: Path) -> Path:
    listen = IDS | {"played_ratio_pct": pl.UInt16, "track_length_seconds": pl.UInt32}
    pl.DataFrame(LISTENS, schema=listen, orient="row").write_parquet(folder / "listens.parquet", mkdir=True)
    pl.DataFrame(FEEDBACK[:1], schema=IDS, orient="row").write_parquet(folder / "likes.parquet")
    pl.DataFrame(FEEDBACK[1:], schema=IDS, orient="row").write_parquet(folder / "unlikes.parquet")
    pl.DataFrame({"artist_id": [5, 6, 5, 99], "item_id": [7, 7, 8, 1000]}).cast({"artist_id": pl.UInt32}).write_parquet(
        folder / "artist_item_mapping.parquet"
    )
    pl.DataFrame({"album_id": [3], "item_id": [7]}).write_parquet(folder / "album_item_mapping.parquet")
    return folder


def together(folder: Path) -> Path:
    """The same events in a single file, without artists and albums."""
    listens = [(*row, "listen") for row in LISTENS]
    others = [(*FEEDBACK[0], None, None, "like"), (*FEEDBACK[1], None, None, "unlike")]
    schema = IDS | {"played_ratio_pct": pl.UInt16, "track_length_seconds": pl.UInt32, "event_type": pl.String}
    rows = pl.DataFrame([*listens, *others], schema=schema, orient="row").sort("uid", "timestamp")
    rows.with_columns(pl.col("event_type").cast(pl.Categorical)).write_parquet(
        folder / "multi_event.parquet", mkdir=True
    )
    return folder


def test_single_and_separate_files_give_the_same_events(tmp_path: Path) -> None:
    """Listens end at their timestamp, and likes are instantaneous."""
    for source in (flat(tmp_path / "flat"), together(tmp_path / "together")):
        land(source, tmp_path / "home")
        assert landed_events(tmp_path / "home", "user_id", "ended_at", "action") == [
            ("100", "7", at("2024-01-01T00:00"), at("2024-01-01T00:10"), "play", 200_000),
            ("100", "8", at("2024-01-01T00:10"), at("2024-01-01T00:10:45"), "play", 6_000),
            ("100", "7", at("2024-01-01T00:10:50"), at("2024-01-01T00:10:50"), "like", None),
            ("100", "7", at("2024-01-01T00:10:55"), at("2024-01-01T00:10:55"), "unlike", None),
            ("200", "7", at("2024-01-01T23:50"), at("2024-01-02T00:00"), "play", 260_000),
        ]
    assert not (tmp_path / "home" / "quarantine").exists()


def test_played_tracks_have_length_artists_and_album(tmp_path: Path) -> None:
    land(flat(tmp_path / "flat"), tmp_path / "home")
    tracks = landed(tmp_path / "home", "tracks").sort("track_id")
    assert tracks.select("track_id", "duration_ms", "artist_ids", "album_id").rows() == [
        ("7", 200_000, ["5", "6"], "3"),
        ("8", 150_000, ["5"], None),
    ]
    assert landed(tmp_path / "home", "artists").sort("artist_id")["name"].to_list() == ["artist 5", "artist 6"]
    assert landed(tmp_path / "home", "albums")["title"].to_list() == ["album 3"]
