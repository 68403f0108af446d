"""Sampling of users whose plays are learned from, where all plays would exceed the memory limit.

A sampled user keeps their whole history, since a history with gaps is a different history. Users are ordered by a
salted hash (`hash_bucket`), so the sample is the same every day, in every process and for every model: releases are
compared on the requests of the same users, and a smaller sample is a subset of a larger one.
"""

from __future__ import annotations

import hashlib

import polars as pl

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


def hash_bucket(user_id: str, salt: str) -> float:
    """Bucket of a user in [0, 1): uniform over users, constant for one salt, independent between salts."""
    key = hashlib.sha256(salt.encode()).digest()
    number = int.from_bytes(hashlib.blake2b(user_id.encode(), digest_size=8, key=key).digest())
    return (number >> 11) / (1 << 53)  # 53 bits, the precision of a float; more could round up to 1
