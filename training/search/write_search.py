"""Writes the search of a release: the index, the embeddings of phrases, and those of texts."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from training.data.catalog import FACETS
from training.search.build_index import build_index
from training.search.concept import FacetValue
from training.search.lexicon import phrases_of
from training.search.meaning import Encode
from training.search.text_vectors import write_text_vectors

INDEX_FOLDER, VECTORS_FILE, CONFIG_FILE = "index", "phrases.npy", "search.json"
MAX_FACET_VALUES = 1_000
"""Facet values, most frequent first, that queries can name; the others are not understood."""


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
    phrases = phrases_of(_frequent_values(tracks))
    vector_PD = encode([phrase.text for phrase in phrases]) if phrases else np.zeros((0, 1), dtype=np.float32)
    np.save(folder / VECTORS_FILE, vector_PD.astype(np.float16), allow_pickle=False)
    if text_vectors is not None:
        write_text_vectors(text_vectors, folder)
    newest = tracks["released_on"].max() if "released_on" in tracks.columns else None
    config = {
        "encoder": encoder_version,
        "newest": newest.isoformat() if isinstance(newest, date) else None,
        "phrases": [[*phrase.value, phrase.text, phrase.weight] for phrase in phrases],
    }
    (folder / CONFIG_FILE).write_text(json.dumps(config, ensure_ascii=False), encoding="utf-8")


def _frequent_values(tracks: pl.DataFrame) -> list[FacetValue]:
    """The facet values of the tracks, most frequent first."""
    counts: list[tuple[int, FacetValue]] = []
    for facet in FACETS:
        if facet in tracks.columns:
            values = tracks[facet].cast(pl.List(pl.String)).explode().drop_nulls().value_counts()
            counts += [(count, (facet, value)) for value, count in values.iter_rows() if value]
    return [value for _, value in sorted(counts, key=lambda one: (-one[0], one[1]))][:MAX_FACET_VALUES]
