"""Tracks of the marts as the search indexes them."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from content import FACETS
from sequences.sequence_batch import FIRST_CODE
from training.data.training_data import TrainingData


def collect_tracks(data: TrainingData) -> pl.DataFrame:
    """The tracks that may be recommended, the most played first, with the columns of `build_index`."""
    rows = data.track_rows.with_columns(item=pl.int_range(pl.len()) + FIRST_CODE).filter(
        pl.Series(data.catalog_V[FIRST_CODE:])
    )
    names = ["item", "track_id", "title", "artist_names", "album_id", "released_on", *FACETS]
    tracks = rows.select(name for name in names if name in rows.columns)
    if "released_on" in tracks.columns:
        tracks = tracks.with_columns(pl.col("released_on").cast(pl.Date))
    # Lyrics are larger than all other columns: only the lyrics of these tracks are read.
    source = pl.scan_parquet(data.marts / "tracks.parquet")
    if "lyrics" in source.collect_schema().names():
        lyrics = source.select("track_id", "lyrics").filter(pl.col("lyrics").is_not_null()).collect()
        tracks = tracks.join(lyrics, on="track_id", how="left", maintain_order="left")
    return add_album_titles(tracks, data.marts)


def add_album_titles(tracks: pl.DataFrame, marts: Path) -> pl.DataFrame:
    """The tracks with a column `album_title`, if there is a mart of albums."""
    albums = marts / "albums.parquet"
    if "album_id" not in tracks.columns or not albums.exists():
        return tracks
    titles = pl.read_parquet(albums, columns=["album_id", "title"]).rename({"title": "album_title"})
    return tracks.join(titles.unique("album_id"), on="album_id", how="left", maintain_order="left")
