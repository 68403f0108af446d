"""Tracks by the meaning of their texts (title, artists, lyrics, comments): an index of sentence embeddings.

Read from the table `track_content` of the text encoder, where the catalog was encoded. Vectors are stored with 8 bits a
number, exhaustively searched up to MAX_EXHAUSTIVE tracks, else in inverted lists that are read through a memory map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import polars as pl
from numpy.typing import NDArray

from recommender.catalog.vocabulary import Vocabulary
from storage.mart_tables import table_file

INDEX_FILE, ITEMS_FILE = "texts.faiss", "texts.npy"
MAX_TRACKS = 200_000
"""The most played tracks that are indexed; 512 bytes each."""
MAX_EXHAUSTIVE = 20_000
PROBES = 16
MAX_TRAINING_VECTORS = 40_000
BATCH_SIZE = 10_000


def read_text_vectors(marts: Path, vocabulary: Vocabulary, encoder_version: str) -> pl.DataFrame:
    """Columns `item` and `embedding` of the tracks that were encoded by this version, the most played first."""
    empty = pl.DataFrame(schema={"item": pl.Int64, "embedding": pl.List(pl.Float32)})
    path = table_file(marts, "text")
    if not path.exists():
        return empty
    items = pl.LazyFrame(
        {"track_id": vocabulary.track_ids_V.astype(str).tolist(), "item": np.arange(len(vocabulary))}
    ).filter(pl.col("item") > 1)
    rows = pl.scan_parquet(path).filter(pl.col("encoder_version") == encoder_version).select("track_id", "embedding")
    return rows.join(items, on="track_id").sort("item").select("item", "embedding").head(MAX_TRACKS).collect()


def write_text_vectors(vectors: pl.DataFrame, folder: Path) -> None:
    """Write the index of a table with the columns `item` and `embedding` into `folder`; nothing for an empty table."""
    if not len(vectors):
        return
    width = len(vectors["embedding"][0])
    index: faiss.Index
    if len(vectors) <= MAX_EXHAUSTIVE:
        index = faiss.IndexScalarQuantizer(width, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    else:
        lists = int(4 * np.sqrt(len(vectors)))
        index = faiss.index_factory(width, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(_matrix(vectors.sample(min(len(vectors), MAX_TRAINING_VECTORS), seed=0)))
    for part in vectors.iter_slices(BATCH_SIZE):
        index.add(_matrix(part))
    faiss.write_index(index, str(folder / INDEX_FILE))
    np.save(folder / ITEMS_FILE, vectors["item"].to_numpy().astype(np.int64), allow_pickle=False)


def _matrix(vectors: pl.DataFrame) -> NDArray[np.float32]:
    width = len(vectors["embedding"][0])
    matrix: NDArray[np.float32] = vectors["embedding"].cast(pl.Array(pl.Float32, width)).to_numpy()
    return np.ascontiguousarray(matrix)


@dataclass(frozen=True)
class TextVectors:
    """An opened index."""

    index: faiss.Index
    item_N: NDArray[np.int64]

    @classmethod
    def load(cls, folder: Path) -> TextVectors | None:
        """Open what `write_text_vectors` wrote; None if it wrote nothing."""
        path = folder / INDEX_FILE
        if not path.exists():
            return None
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
        if isinstance(index, faiss.IndexIVF):
            index.nprobe = PROBES
        return cls(index, np.load(folder / ITEMS_FILE, allow_pickle=False))

    def nearest(self, vector_D: NDArray[np.float32], k: int, min_similarity: float) -> Sequence[tuple[int, float]]:
        """At most k items with their cosine similarity, if that is at least `min_similarity`, most similar first."""
        similarity_1K, place_1K = self.index.search(vector_D[None, :], min(k, len(self.item_N)))
        return [
            (int(self.item_N[place]), float(similarity))
            for place, similarity in zip(place_1K[0].tolist(), similarity_1K[0].tolist(), strict=True)
            if place >= 0 and similarity >= min_similarity
        ]
