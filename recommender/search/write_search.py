"""Writes the search of a release: the full-text index of its tracks, and the embeddings of phrases and texts.

A document of the index is a track: the terms of its title, artists, album and lyrics, its facet values, and its day of
release. Tracks are in order of popularity, which decides between equally good matches.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import tantivy

from content import FACETS
from recommender.search.full_text_index import EPOCH, FACET_SEPARATOR, TEXT_FIELDS
from recommender.search.phrase_similarity import Encode
from recommender.search.query_parser import QueryParser
from recommender.search.text_normalization import index_terms, normalize
from recommender.search.text_vectors import write_text_vectors

INDEX_FOLDER = "index"
MAX_CHARACTERS = {"title": 300, "artist": 300, "album": 300, "lyrics": 2_000}
WRITER_BYTES = 400_000_000


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
    for row in tracks.iter_rows(named=True):
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
