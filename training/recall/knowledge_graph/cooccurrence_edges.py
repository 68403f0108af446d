"""What the log adds to the music graph: tracks that people play next to each other, as edges of a track.

A collaborative knowledge graph in the sense of Wang, He, Cao, Liu, Chua, "KGAT: Knowledge Graph Attention Network for
Recommendation" (KDD 2019), arXiv 1905.07854. Different here: users are no nodes; two tracks that users listened to
within a few plays of one session are linked, as strongly as many users did so. Learned from `train` plays only.
Legend: P plays. Knows nothing about walks.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from training.data.plays import PARTS
from training.data.training_data import TrainingData

PLAYS_PER_CHUNK = 1_000_000


def build_cooccurrence_edges(data: TrainingData, window: int, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From, to, strength: of each track the `most` tracks that most users played at most `window` listens away, ties by
    smaller code. Strength is the number of users.
    """
    plays = data.plays
    rows = np.flatnonzero((plays.part_P == PARTS.index("train")) & plays.is_listened_P)
    by_user = []
    for start in range(0, len(rows), PLAYS_PER_CHUNK):
        # Some rows of the next piece too, or pairs across the border would be lost.
        piece = rows[start : start + PLAYS_PER_CHUNK + window]
        pairs = [_pairs_at_distance(data, piece, distance) for distance in range(1, window + 1)]
        by_user.append(pl.concat(pairs).unique())
    if not by_user:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, np.zeros(0, dtype=np.float32)
    counted = pl.concat(by_user).unique().group_by("a", "b").agg(users=pl.len().cast(pl.Float32))
    mirrored = pl.concat([counted, counted.select(a="b", b="a", users="users")])
    ranked = mirrored.sort("a", "users", "b", descending=[False, True, False])
    kept = ranked.filter(pl.int_range(pl.len()).over("a") < most)
    return kept["a"].to_numpy(), kept["b"].to_numpy(), kept["users"].to_numpy()


def _pairs_at_distance(data: TrainingData, rows: np.ndarray, distance: int) -> pl.DataFrame:
    """Pairs of different tracks `distance` listens apart in one session, the smaller code first, and by whom."""
    plays = data.plays
    first, second = rows[:-distance], rows[distance:]
    a, b = plays.track_P[first], plays.track_P[second]
    kept = (plays.session_start_P[first] == plays.session_start_P[second]) & (a != b)
    a, b, user = a[kept], b[kept], plays.user_P[first][kept]
    columns = {"a": np.minimum(a, b), "b": np.maximum(a, b), "user": user}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Int32)).unique()
