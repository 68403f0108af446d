"""A smooth sequence of tracks from one to another, in the space of item vectors.

The path x_0 … x_{L-1} between given ends minimizes

    Σ s_t⁴ + DEVIATION_WEIGHT · Σ d_t² + ARTIST_PENALTY · repeats + NEIGHBOR_PENALTY · neighbors

over the candidates: s_t is the angle between x_t and x_{t+1} in radians, whose fourth power makes one large step cost
more than several small ones; d_t is the angle between x_t and point t of the arc from x_0 to x_{L-1}, which keeps a
steady course; `repeats` counts tracks with the main artist of one of the ARTIST_GAP tracks before, `neighbors` tracks
with the main artist of the previous track, which are avoided at any cost. No track occurs twice.

The minimum is searched by dynamic programming over the positions (Viterbi), with the CANDIDATES_PER_POSITION candidates
nearest to the point of the arc at each position. Because a track must not occur twice and repeats depend on several
tracks before, the best path to each candidate is an approximation: the one with the lowest cost among the best paths to
the candidates of the position before.

Legend: C candidates, L positions of the path, M candidates of one position, D width.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recommender.array_types import AnyFloats, Ints
from recommender.nn.vector_index import angles, interpolate_on_sphere

STEP_POWER = 4
DEVIATION_WEIGHT = 0.1
ARTIST_PENALTY = 1.0
NEIGHBOR_PENALTY = 1e6
ARTIST_GAP = 3
CANDIDATES_PER_POSITION = 64
UNKNOWN_ARTISTS = 2
"""Artist codes below this are unknown, so that two of them need not be the same artist."""


def find_smooth_path(vector_CD: AnyFloats, artist_C: Ints, length: int) -> list[int]:
    """Positions of the path's candidates, from candidate 0 to the last one; shorter if there are too few candidates.

    Args:
        vector_CD: Unit-length vectors.
        artist_C: Codes of the main artists.
        length: Number of tracks, at least 2.
    """
    first, last = 0, len(artist_C) - 1
    length = min(length, last + 1)
    point_LD = interpolate_on_sphere(vector_CD[first], vector_CD[last], length)
    deviation_LC = DEVIATION_WEIGHT * angles(point_LD, vector_CD) ** 2
    path_MX: Ints = np.array([[first]])
    cost_M = np.zeros(1)
    for position in range(1, length - 1):
        candidate_K = _nearest(deviation_LC[position], length)
        step_MK = angles(vector_CD[path_MX[:, -1]], vector_CD[candidate_K]) ** STEP_POWER
        before_MX, artist_K = artist_C[path_MX[:, -ARTIST_GAP:]], artist_C[candidate_K]
        penalty_MK = ARTIST_PENALTY * _repeats(before_MX, artist_K) + NEIGHBOR_PENALTY * _repeats(
            before_MX[:, -1:], artist_K
        )
        # The last track is known from the beginning.
        to_end = length - 1 - position
        if to_end <= ARTIST_GAP:
            at_end = ARTIST_PENALTY + (NEIGHBOR_PENALTY if to_end == 1 else 0)
            penalty_MK += at_end * _repeats(artist_C[[[last]]], artist_K)
        is_used_MK = (path_MX[:, :, None] == candidate_K).any(1)
        total_MK = cost_M[:, None] + step_MK + penalty_MK
        total_MK = np.where(is_used_MK, np.inf, total_MK)
        best_K = total_MK.argmin(0)
        cost_K = total_MK[best_K, np.arange(len(candidate_K))] + deviation_LC[position, candidate_K]
        kept = np.isfinite(cost_K)
        path_MX = np.concatenate([path_MX[best_K[kept]], candidate_K[kept, None]], axis=1)
        cost_M = cost_K[kept]
    cost_M = cost_M + angles(vector_CD[path_MX[:, -1]], vector_CD[[last]])[:, 0] ** STEP_POWER
    return [*path_MX[int(cost_M.argmin())].tolist(), last]


def _nearest(deviation_C: AnyFloats, length: int) -> Ints:
    """The candidates nearest to a point of the arc, without the ends; at least as many as the path is long."""
    order = np.argsort(deviation_C[1:-1], kind="stable") + 1
    return order[: max(CANDIDATES_PER_POSITION, length)]


def _repeats(before_MX: Ints, artist_K: Ints) -> NDArray[np.bool_]:
    """Whether each candidate's artist is known and among the artists before, [M, K]."""
    return (before_MX[:, :, None] == artist_K).any(1) & (artist_K >= UNKNOWN_ARTISTS)
