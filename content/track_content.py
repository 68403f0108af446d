"""Track content: names, texts, sound and cover of a track as one row of numbers, independent of who plays it.

Blocks: n-grams of names (title and artists) and of texts (lyrics and comments) by `embed_ngrams`; sound and cover vectors
of the catalog, and encoded ones of tracks without these, by their principal components, as are encoded texts; audio that
is not music is left out. Each block of a row has unit length, or is zeros if the track has no such content.
Legend: N tracks, V vocabulary, W width.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from content.music_detection import scan_music
from storage.files import open_draft
from storage.mart_tables import read_time_split, table_file

WIDTH, MIN_BLOCK_WIDTH = 64, 24
"""Columns of a row, shared equally by the blocks that have content, but at least 24 for each.

In the simulated world with hidden facets, blocks of 12 and 16 columns let a linear map find less of a track's style and
language (log, 2026-11-28).
"""
BLOCKS = ("names", "text_ngrams", "catalog_audio", "catalog_image", "audio", "image", "text")
"""Blocks of a row in order; those without any content have no columns."""
MAX_LYRICS_CHARACTERS, MAX_COMMENTS_PER_TRACK = 300, 5  # the newest comments are used
MAX_TEXT_CHARACTERS = 400
MAX_TIMES_MEDIAN = 10  # largest number of a vector, relative to the median vector's
VECTOR_COLUMNS = ("audio_vector", "image_vector")
CONTENT_COLUMNS = ("lyrics", *VECTOR_COLUMNS)
"""Columns of the mart `tracks` that only this module reads."""
ENCODED_COLUMNS = {"audio": "encoded_audio", "image": "encoded_image", "text": "encoded_text"}
"""Encoder of the table `track_content` to the column of its vectors.

Sound and cover are used where the catalog has no vector of the kind, texts where a track has lyrics or comments.
"""
COMMENT_SCHEMA: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "track_id": pl.String,
    "text": pl.String,
    "occurred_at": pl.Datetime("us"),
}

NGRAM_SIZES = (2, 3)
MAX_FEATURES = 1 << 15  # the most frequent n-grams are used
MIN_DOCUMENT_FREQUENCY = 2  # rarer n-grams do not relate texts to each other
SAMPLE_TEXTS, SAMPLE_CHARACTERS = 30_000, 2_000_000
TEXT_BATCH_SIZE = 8_192
MIN_SINGULAR_RATIO = 1e-6

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class TrackContent:
    """Content rows of all tracks."""

    row_VW: NDArray[np.float16]  # W <= max(WIDTH, MIN_BLOCK_WIDTH * number of BLOCKS); 0 if no track has content
    has_descriptive_content_V: NDArray[np.bool_]  # the track has texts or a vector besides its names
    block_W: NDArray[np.int64]  # index into BLOCKS of each column

    @classmethod
    def of(cls, tracks: pl.DataFrame, comments: pl.DataFrame) -> Self:
        """Content rows in the order of `tracks`.

        Args:
            tracks: track_id, title, artist_names, CONTENT_COLUMNS and ENCODED_COLUMNS; all but the id may be null, and vectors
                missing.
            comments: track_id, text, occurred_at, without comments from after the train part of the fit.

        Raises:
            ValueError: the vectors of a column have different lengths.
        """
        names = _name_texts(tracks)
        words = _lyrics_and_comments(tracks, comments)
        catalog = [_read_vectors(tracks, column) for column in VECTOR_COLUMNS]
        # Vectors of the catalog come from other models, so encoded ones have blocks of their own.
        encoded = [_read_vectors(tracks, column) for column in ENCODED_COLUMNS.values()]
        for catalog_NW, encoded_NW in zip(catalog, encoded[: len(catalog)], strict=True):
            encoded_NW[catalog_NW.any(axis=1)] = 0
        present = [any(names), any(words), *(bool(vector_NW.any()) for vector_NW in (*catalog, *encoded))]
        width = max(WIDTH // max(sum(present), 1), MIN_BLOCK_WIDTH)
        nothing_N0 = np.zeros((len(tracks), 0), dtype=np.float32)
        blocks = [embed_ngrams(texts, width) if any(texts) else nothing_N0 for texts in (names, words)]
        blocks += [pca_whiten(vector_NW, width) for vector_NW in (*catalog, *encoded)]
        described = [block_NW.any(axis=1) for block_NW in blocks[1:]]
        block_W = np.repeat(np.arange(len(BLOCKS)), [block_NW.shape[1] for block_NW in blocks])
        return cls(np.concatenate(blocks, axis=1).astype(np.float16), np.any(described, axis=0), block_W)

    def prepend_empty_rows(self, rows: int) -> TrackContent:
        """This content with `rows` empty rows in front."""
        return TrackContent(
            np.pad(self.row_VW, ((rows, 0), (0, 0))), np.pad(self.has_descriptive_content_V, (rows, 0)), self.block_W
        )

    def save(self, path: Path) -> None:
        """Write the file atomically; several processes may write the same file concurrently."""
        is_described_V = self.has_descriptive_content_V.astype(np.uint8)
        with open_draft(path, is_contended=True) as draft:
            save_file({"row_VW": self.row_VW, "is_described_V": is_described_V, "block_W": self.block_W}, draft)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file that `save` wrote."""
        arrays = load_file(path)
        return cls(arrays["row_VW"], arrays["is_described_V"].astype(bool), arrays["block_W"])


def load_content_tables(marts: Path, tracks: pl.DataFrame, is_final: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The arguments of `TrackContent.of` for rows of the mart `tracks`, in their order.

    For a held-out fit with a global time split, only comments written before the start of validation are used, and
    comments without a time are not. A final fit, and marts that are split per user, use all comments. Encoded texts of
    tracks without lyrics and comments are left out: they say no more than names and facets.
    """
    content = pl.scan_parquet(marts / "tracks.parquet").select("track_id", *CONTENT_COLUMNS).collect()
    rows = tracks.join(content, on="track_id", how="left", maintain_order="left")
    comments = read_comments(marts, before_validation=not is_final)
    for encoder, column in ENCODED_COLUMNS.items():
        if (file := table_file(marts, encoder)).exists():
            encoded = scan_music(file).select("track_id", pl.col("embedding").alias(column))
            if encoder == "text":
                encoded = encoded.join(_tracks_with_texts(rows, comments), on="track_id", how="semi")
            rows = rows.join(encoded.collect(), on="track_id", how="left", maintain_order="left")
    return rows, comments


def _tracks_with_texts(tracks: pl.DataFrame, comments: pl.DataFrame) -> pl.LazyFrame:
    """Ids of the tracks that have lyrics or a comment."""
    described = comments.lazy().filter(pl.col("text").str.strip_chars() != "").select("track_id")
    has_lyrics = pl.col("lyrics").cast(pl.String).str.strip_chars() != ""
    return pl.concat([described, tracks.lazy().filter(has_lyrics).select("track_id")])


def read_comments(marts: Path, before_validation: bool) -> pl.DataFrame:
    """The mart `track_comments`, optionally without those from after a global start of validation or without a time."""
    if not (marts / "track_comments.parquet").exists():
        return pl.DataFrame(schema=dict(COMMENT_SCHEMA))
    comments = pl.read_parquet(marts / "track_comments.parquet", columns=list(COMMENT_SCHEMA))
    validation_from = read_time_split(marts).get("validation_from") if before_validation else None
    return comments if validation_from is None else comments.filter(pl.col("occurred_at") < validation_from)


def pca_whiten(vector_NW: Rows, width: int) -> Rows:
    """Unit rows of the first principal components, each scaled to variance 1; zero rows are ignored and stay zero.

    Rows with an absurdly large number are scaled down, so that they do not determine the components.
    """
    is_present_N = vector_NW.any(axis=1)
    row_NW = np.zeros((len(vector_NW), min(width, vector_NW.shape[1])), dtype=np.float32)
    if not row_NW.size or not is_present_N.any():
        return row_NW[:, :0]
    largest_N = np.abs(vector_NW).max(axis=1)
    limit = MAX_TIMES_MEDIAN * np.median(largest_N[is_present_N])
    if (is_absurd_N := largest_N > limit).any():
        vector_NW = vector_NW.copy()
        vector_NW[is_absurd_N] *= (limit / largest_N[is_absurd_N])[:, None]
    centred_NW = vector_NW[is_present_N] - vector_NW[is_present_N].mean(axis=0)
    variance_W, direction_WW = np.linalg.eigh(centred_NW.T @ centred_NW / len(centred_NW))
    largest_first = np.argsort(-variance_W, kind="stable")[: row_NW.shape[1]]
    selected = largest_first[variance_W[largest_first] > 1e-6 * max(variance_W.max(), 1e-12)]
    row_NW = row_NW[:, : len(selected)]
    row_NW[is_present_N] = centred_NW @ (direction_WW[:, selected] / np.sqrt(variance_W[selected]))
    return normalize_rows(row_NW)


def _name_texts(tracks: pl.DataFrame) -> list[str]:
    """Title and artist names of each track, as far as they are known."""
    names = pl.col("artist_names").cast(pl.List(pl.String)).list.eval(pl.element().fill_null("")).list.join(" ")
    return _concatenate_texts(tracks, pl.col("title").cast(pl.String), names)


def _lyrics_and_comments(tracks: pl.DataFrame, comments: pl.DataFrame) -> list[str]:
    """The beginning of the lyrics and the newest comments."""
    newest = comments.sort("occurred_at", "text", descending=True, nulls_last=True).group_by("track_id")
    joined = newest.agg(comments=pl.col("text").head(MAX_COMMENTS_PER_TRACK).str.join(" "))
    tracks = tracks.join(joined, on="track_id", how="left", maintain_order="left")
    lyrics = pl.col("lyrics").cast(pl.String).str.slice(0, MAX_LYRICS_CHARACTERS)
    return [text[:MAX_TEXT_CHARACTERS] for text in _concatenate_texts(tracks, lyrics, pl.col("comments"))]


def _concatenate_texts(tracks: pl.DataFrame, *parts: pl.Expr) -> list[str]:
    """The parts of each track with a space between them; null counts as empty."""
    known = [part.fill_null("") for part in parts]
    return tracks.select(text=pl.concat_str(known, separator=" ").str.strip_chars())["text"].to_list()


def _read_vectors(tracks: pl.DataFrame, column: str) -> Rows:
    """The column as a matrix, with zeros for missing vectors and for numbers that are not finite."""
    if column not in tracks.columns:
        return np.zeros((len(tracks), 0), dtype=np.float32)
    lists = tracks[column].cast(pl.List(pl.Float32)).fill_null([])
    length_N = lists.list.len().to_numpy()
    lengths = np.unique(length_N[length_N > 0])
    if len(lengths) > 1:
        raise ValueError(
            f"{column} has vectors of lengths {lengths.tolist()}; land vectors of one model for all tracks"
        )
    vector_NW = np.zeros((len(tracks), int(lengths.max(initial=0))), dtype=np.float32)
    vector_NW[length_N > 0] = (
        lists.explode(empty_as_null=False).to_numpy().reshape(-1, vector_NW.shape[1] or 1)[:, : vector_NW.shape[1]]
    )
    return np.nan_to_num(vector_NW, posinf=0, neginf=0)


def embed_ngrams(texts: Sequence[str], width: int) -> Rows:
    """Unit row of each text [N, W], zeros for a text without a known n-gram; fewer columns if the texts have a lower rank.

    Character n-grams, TF-IDF and truncated SVD: Deerwester et al., "Indexing by Latent Semantic Analysis" (JASIS 1990).
    Titles of any language and script are similar if they share spelling. Differences: both are fitted on a bounded sample of
    the texts; coordinates are divided by the singular values, so that all directions have equal weight in the projection that
    is learned on top.
    """
    # Imported here: they take seconds, and only fits of models need them.
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.utils.extmath import randomized_svd

    nonempty = [text for text in texts if text]
    mean = sum(map(len, nonempty)) / max(len(nonempty), 1)
    count = min(len(nonempty), SAMPLE_TEXTS, int(SAMPLE_CHARACTERS / max(mean, 1)) + 1)
    sample = np.sort(np.random.default_rng(0).permutation(len(nonempty))[:count])
    vectorizer = TfidfVectorizer(
        preprocessor=_fold,
        analyzer="char",
        ngram_range=NGRAM_SIZES,
        min_df=MIN_DOCUMENT_FREQUENCY,
        max_features=MAX_FEATURES,
        dtype=np.float32,
    )
    try:
        matrix_NF = vectorizer.fit_transform([nonempty[index] for index in sample])
    except ValueError:  # no n-gram is in two texts
        return np.zeros((len(texts), 0), dtype=np.float32)
    _, singular_W, direction_WF = randomized_svd(matrix_NF, min(width, *matrix_NF.shape), n_iter=4, random_state=0)
    is_kept_W = singular_W > MIN_SINGULAR_RATIO * singular_W.max()
    basis_FW = (direction_WF[is_kept_W] / singular_W[is_kept_W, None]).T
    batches = (texts[start : start + TEXT_BATCH_SIZE] for start in range(0, len(texts), TEXT_BATCH_SIZE))
    return normalize_rows(np.concatenate([vectorizer.transform(batch) @ basis_FW for batch in batches]))


def normalize_rows(row_NW: Rows) -> Rows:
    """Rows scaled to unit length; zero rows stay zero."""
    length_N1 = np.linalg.norm(row_NW, axis=1, keepdims=True)
    return np.divide(row_NW, length_N1, out=np.zeros_like(row_NW), where=length_N1 > 1e-9)


def _fold(text: str) -> str:
    """The text with NFKC, case folding and single spaces, and a space on both sides, so that beginnings of words differ."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return f" {folded} " if folded else ""
