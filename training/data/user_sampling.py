"""Whose plays are learned from: everybody's, or, where that is more than memory is to hold, those of listeners drawn by lot.

A listener who is drawn comes whole, for a history with holes is another history. The lot is the listener's own
(`shares.placed`): the same one every day, in every process and for every model, so that releases are compared on the
requests of the same people, and whoever is drawn among few is drawn among more.
"""

from __future__ import annotations

import polars as pl

from training.release.traffic_split import hash_bucket

USER_SAMPLING_SALT = "learned from"


def sample_users(plays: pl.LazyFrame, most: int) -> pl.Series | None:
    """The ids of the listeners, sorted, whose `plays` (column user_id) are `most` together, at least one; None: all are."""
    if plays.select(pl.len()).collect().item() <= most:  # a file says it without being read
        return None
    counts = plays.group_by("user_id").agg(plays=pl.len()).collect(engine="streaming")
    lot = pl.col("user_id").map_elements(lambda user: hash_bucket(user, USER_SAMPLING_SALT), return_dtype=pl.Float64)
    in_turn = counts.with_columns(lot=lot).sort("lot", "user_id")
    fits = (pl.col("plays").cum_sum() <= most) | (pl.int_range(pl.len()) == 0)
    return in_turn.filter(fits)["user_id"].sort()
