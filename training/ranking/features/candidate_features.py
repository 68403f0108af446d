"""A candidate's own side in numbers: how the track did with everybody. Nothing here looks at the user.

Shape letters: B requests, C candidates, S counts, F features. From the track statistics known before the request, the
same code offline and online.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CANDIDATE_FEATURES = 6 + 1

Array = NDArray[Any]


def smoothed_rate(listens_BC: Array, skips_BC: Array, prior: float = 0.7, strength: float = 2) -> Array:
    """Share of listens among listens and skips, drawn to the prior where there are few."""
    return (listens_BC + prior * strength) / (listens_BC + skips_BC + strength)


def encode_track_statistics(counts_BCS: Array, age_BC: Array) -> list[Array]:
    """How the track did with everybody; columns of `counts_BCS` as in `track_statistics.COUNTS`."""
    plays, listens, full_plays, skips, week, month = np.moveaxis(counts_BCS, -1, 0)
    return [
        np.log2(1 + plays),
        smoothed_rate(listens, skips, strength=5),
        smoothed_rate(full_plays, plays - full_plays, 0.5, 5),
        np.log2(1 + week),
        np.log2(1 + month),
        np.log2(2 + age_BC),
    ]
