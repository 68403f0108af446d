"""Writes the search of a release: the full-text index of its tracks, and the embeddings of phrases and texts.

A document of the index is a track: the terms of its title, artists, album and lyrics, its facet values, and its day of
release. Tracks are in order of popularity, which decides between equally good matches.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import tantivy

from sequences.sequence_batch import FIRST_CODE
from training.content import FACETS
from training.data.training_data import TrainingData
from training.search.full_text_index import EPOCH, FACET_SEPARATOR, TEXT_FIELDS
from training.search.phrase_similarity import Encode
from training.search.query_parser import QueryParser
from training.search.text_normalization import index_terms, normalize
from training.search.text_vectors import write_text_vectors

INDEX_FOLDER = "index"
MAX_CHARACTERS = {"title": 300, "artist": 300, "album": 300, "lyrics": 2_000}
WRITER_BYTES = 400_000_000
ROWS_PER_SLICE = 10_000


def collect_tracks(data: TrainingData) -> pl.DataFrame:
    """The tracks that may be recommended, the most played first, with the columns of `build_index`."""
    rows = data.track_rows.with_columns(item=pl.int_range(pl.len()) + FIRST_CODE).filter(
        pl.Series(data.catalog_V[FIRST_CODE:])
    )
    names = ["item", "track_id", "title", "artist_names", "album_id", "released_on", *FACETS]
    tracks = rows.select(name for name in names if name in rows.columns)
    if "released_on" in tracks.columns:
        tracks = tracks.with_columns(pl.col("released_on").cast(pl.Date))
    # Lyrics are larger than all other columns: only those of these tracks are read.
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


def write_search(
    tracks: pl.DataFrame, folder: Path, encode: Encode, encoder_version: str, text_vectors: pl.DataFrame | None = None
) -> None:
    """Write the search of a release into `folder`.

    Args:
        tracks: See `build_index`.
        folder: A new folder.
        encode: Embeds texts.
        encoder_version: Version of the embeddings.
        text_vectors: Embeddings of the texts of tracks, see `text_vectors.read_text_vectors`.
    """
    build_index(tracks, folder / INDEX_FOLDER)
    QueryParser.of(tracks, encode).save(folder, encoder_version)
    if text_vectors is not None:
        write_text_vectors(text_vectors, folder)


def build_index(tracks: pl.DataFrame, folder: Path) -> None:
    """Write the index of the tracks into `folder`.

    Args:
        tracks: One row per track, the most popular first, with the columns `item`, `title`, `artist_names`, `album_title`,
            `lyrics`, `released_on` and the facets; all but `item` may be null or missing.
        folder: A new folder.
    """
    folder.mkdir(parents=True)
    index = tantivy.Index(_schema(), str(folder))
    writer = index.writer(heap_size=WRITER_BYTES, num_threads=1)  # one thread keeps the order of the tracks
    for row in _rows(tracks):
        writer.add_document(_document(row))
    writer.commit()
    writer.wait_merging_threads()
    for path in folder.glob("*.lock"):
        path.unlink()


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    for name in TEXT_FIELDS:
        builder.add_text_field(name, tokenizer_name="whitespace", index_option="basic")
    builder.add_text_field("facet", tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("released", fast=True)
    builder.add_integer_field("item", fast=True, indexed=True)
    builder.add_bytes_field("document", stored=True, indexed=False)
    return builder.build()


def _rows(tracks: pl.DataFrame) -> Iterator[dict[str, Any]]:
    for part in tracks.iter_slices(ROWS_PER_SLICE):
        yield from part.iter_rows(named=True)


def _document(row: Mapping[str, Any]) -> tantivy.Document:
    artists = [name for name in row.get("artist_names") or [] if name]
    texts = {
        "title": row.get("title") or "",
        "artist": " ".join(artists),
        "album": row.get("album_title") or "",
        "lyrics": row.get("lyrics") or "",
    }
    document = tantivy.Document()
    for name, text in texts.items():
        if text:
            document.add_text(name, " ".join(index_terms(normalize(text[: MAX_CHARACTERS[name]]))))
    facets = [
        FACET_SEPARATOR.join((facet, value))
        for facet in FACETS
        for value in dict.fromkeys(row.get(facet) or [])
        if value
    ]
    for value in facets:
        document.add_text("facet", value)
    if row.get("released_on") is not None:
        document.add_integer("released", (row["released_on"] - EPOCH).days)
    document.add_integer("item", row["item"])
    stored = [texts["title"], artists, texts["album"], facets]
    document.add_bytes("document", json.dumps(stored, ensure_ascii=False).encode())
    return document
