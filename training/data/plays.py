"""All plays of all users as flat columns, and the sample of users whose plays are learned from.

A sampled user keeps their whole history, since a history with gaps is a different history. Users are ordered by a
salted hash (`hash_bucket`), so the sample is the same every day, in every process and for every model: releases are
compared on the requests of the same users, and a smaller sample is a subset of a larger one.

Legend: P plays, U users. Rows are sorted by user, then `play_number`. Times are int64 µs since 1970, UTC; other
integers are int32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from recommender.catalog.vocabulary import Vocabulary
from releases.traffic_split import hash_bucket
from sequences.sequence_batch import FIRST_CODE, UNKNOWN

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Plays:
    """Columns of all plays."""

    user_P: np.ndarray  # index of the user, from 0
    play_number_P: np.ndarray
    track_P: np.ndarray
    known_at_P: np.ndarray
    request_at_P: np.ndarray
    part_P: np.ndarray  # index into PARTS
    is_listened_P: np.ndarray
    is_full_play_P: np.ndarray
    session_start_P: np.ndarray  # row of the first play of the same session
    offset_U1: np.ndarray  # rows of user u: offset_U1[u]:offset_U1[u + 1]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Plays:
        """From the table that `read_plays` returns."""
        user_P = rows["user"].to_numpy()
        session_P = rows.select(pl.struct("user", "session").rle_id()).to_series().to_numpy()
        starts = np.unique(session_P, return_index=True)[1].astype(np.int32)
        return cls(
            user_P=user_P,
            play_number_P=rows["number"].to_numpy(),
            track_P=rows["track"].to_numpy(),
            known_at_P=rows["known_at"].to_numpy(),
            request_at_P=rows["request_at"].to_numpy(),
            part_P=rows["part"].to_numpy(),
            is_listened_P=rows["is_listened"].to_numpy(),
            is_full_play_P=rows["is_full_play"].to_numpy(),
            session_start_P=starts[session_P],
            offset_U1=np.concatenate([np.unique(user_P, return_index=True)[1], [len(user_P)]]).astype(np.int64),
        )

    def __len__(self) -> int:
        """Number of plays, P."""
        return len(self.user_P)


def read_plays(plays: pl.LazyFrame, user_ids: Sequence[str], vocabulary: Vocabulary) -> pl.DataFrame:
    """The plays in order, with texts encoded as integers.

    Encoding happens in the streaming engine, since the texts would take most of the memory.
    """
    rows = plays.select(
        user=_encode_texts("user_id", user_ids),
        number=pl.col("play_number").cast(pl.Int32),
        track=(_encode_texts("track_id", vocabulary.track_ids_V[FIRST_CODE:].tolist()) + FIRST_CODE).fill_null(UNKNOWN),
        known_at=to_microseconds("known_at"),
        request_at=to_microseconds("request_at"),
        part=_encode_texts("part", PARTS).cast(pl.Int8),
        is_listened="is_listened",
        is_full_play=pl.col("behavior") == "full_play",
        session=pl.col("session_id").cast(pl.Categorical),
        scene=pl.col("scene").cast(pl.Categorical),
    )
    return rows.sort("user", "number").collect(engine="streaming")


def part_of_fit(fit: str) -> pl.Expr:
    """The column `part` as a fit sees it: what it learns from is `train`."""
    return pl.lit("train").alias("part") if fit == "final" else pl.col("part")


def _encode_texts(column: str, texts: Sequence[str]) -> pl.Expr:
    """Index of each text in `texts`; null if it is not in there."""
    return pl.col(column).cast(pl.Enum(texts), strict=False).to_physical().cast(pl.Int32)


def to_microseconds(column: str) -> pl.Expr:
    """A time as µs since 1970."""
    return pl.col(column).cast(pl.Datetime("us")).cast(pl.Int64)


USER_SAMPLING_SALT = "learned from"


def sample_users(plays: pl.LazyFrame, max_plays: int) -> pl.Series | None:
    """Sorted ids of at least one user whose plays together are at most `max_plays`; None if all users fit.

    Args:
        plays: One row per play, with a column `user_id`.
        max_plays: Upper limit of the plays of all sampled users together; a first user that exceeds it is still taken.
    """
    if plays.select(pl.len()).collect().item() <= max_plays:  # read from the Parquet footer
        return None
    counts = plays.group_by("user_id").agg(plays=pl.len()).collect(engine="streaming")
    bucket = pl.col("user_id").map_elements(lambda user: hash_bucket(user, USER_SAMPLING_SALT), return_dtype=pl.Float64)
    ordered = counts.with_columns(bucket=bucket).sort("bucket", "user_id")
    fits = (pl.col("plays").cum_sum() <= max_plays) | (pl.int_range(pl.len()) == 0)
    return ordered.filter(fits)["user_id"].sort()
