"""`python -m research.hidden_facets FOLDER`: take out of a simulated catalog what says how a track sounds.

Facets, titles and ready-made embeddings of tracks become null, names become ids; lyrics, comments and media stay. For models that
must learn the facets from audio, cover and text (the cold start of [results](../docs/results.md)).
"""

from __future__ import annotations

import sys
from pathlib import Path

import polars as pl

HIDDEN_COLUMNS = ("title", "language", "styles", "scenes", "emotions", "themes", "audio_vector", "image_vector")
NAMES = {
    "artists": ("artist_id", "name"),
    "albums": ("album_id", "title"),
    "playlists": ("playlist_id", "title"),
    "mlogs": ("mlog_id", "title"),
}
"""Tables with names, which become the id."""


def main(arguments: list[str]) -> None:
    """Rewrite the tables of the folder of a simulation."""
    folder = Path(arguments[0])
    tracks = pl.read_parquet(folder / "tracks" / "part.parquet")
    nothing = {name: pl.lit(None, tracks.schema[name]) for name in HIDDEN_COLUMNS}
    tracks.with_columns(**nothing).write_parquet(folder / "tracks" / "part.parquet")
    for table, (key, name) in NAMES.items():
        file = folder / table / "part.parquet"
        pl.read_parquet(file).with_columns(pl.col(key).alias(name)).write_parquet(file)


if __name__ == "__main__":
    main(sys.argv[1:])
