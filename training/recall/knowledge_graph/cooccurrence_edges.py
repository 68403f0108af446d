"""Co-occurrence edges of the knowledge graph: tracks that users play next to each other.

A collaborative knowledge graph in the sense of Wang, He, Cao, Liu, Chua, "KGAT: Knowledge Graph Attention Network for
Recommendation" (KDD 2019), arXiv 1905.07854. Difference: users are not nodes; two tracks
that were listened to within a few plays of one session are linked, with the number of such users as the strength. Only
`train` plays are used.

Legend: P plays.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from training.data.plays import PARTS
from training.data.training_data import TrainingData

PLAYS_PER_CHUNK = 1_000_000


def build_cooccurrence_edges(
    data: TrainingData, window: int, max_neighbors: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges from each track to its `max_neighbors` most frequent neighbors.

    Args:
        data: Training data.
        window: Maximum distance of two plays of one session, in listens.
        max_neighbors: Edges per track; ties are broken by smaller item code.

    Returns:
        Source, target and strength (number of users) of each edge.
    """
    plays = data.plays
    rows = np.flatnonzero((plays.part_P == PARTS.index("train")) & plays.is_listened_P)
    by_user = []
    for start in range(0, len(rows), PLAYS_PER_CHUNK):
        # Chunks overlap by `window` rows so that pairs across the boundary are found.
        piece = rows[start : start + PLAYS_PER_CHUNK + window]
        pairs = [_pairs_at_distance(data, piece, distance) for distance in range(1, window + 1)]
        by_user.append(pl.concat(pairs).unique())
    if not by_user:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, np.zeros(0, dtype=np.float32)
    counted = pl.concat(by_user).unique().group_by("a", "b").agg(users=pl.len().cast(pl.Float32))
    mirrored = pl.concat([counted, counted.select(a="b", b="a", users="users")])
    ranked = mirrored.sort("a", "users", "b", descending=[False, True, False])
    kept = ranked.filter(pl.int_range(pl.len()).over("a") < max_neighbors)
    return kept["a"].to_numpy(), kept["b"].to_numpy(), kept["users"].to_numpy()


def _pairs_at_distance(data: TrainingData, rows: np.ndarray, distance: int) -> pl.DataFrame:
    """Distinct (a, b, user): different tracks a < b that a user listened to `distance` listens apart in one session."""
    plays = data.plays
    first, second = rows[:-distance], rows[distance:]
    a, b = plays.track_P[first], plays.track_P[second]
    kept = (plays.session_start_P[first] == plays.session_start_P[second]) & (a != b)
    a, b, user = a[kept], b[kept], plays.user_P[first][kept]
    columns = {"a": np.minimum(a, b), "b": np.maximum(a, b), "user": user}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Int32)).unique()
