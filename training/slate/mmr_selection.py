"""Selection of the visible list: diversity by maximal marginal relevance (MMR), with a cap per artist.

The slots of repeats and of discoveries are given, see `discovery_slots`.

MMR: Carbonell and Goldstein (SIGIR 1998). Difference: the similarity to the selected tracks is their mean rather than
their maximum, since two tracks of one style and mood are common, and after the first such pair the maximum carries no
information.

Evaluation and serving call the same functions. Legend: C candidates, L slots.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from sequences.sequence_batch import FIRST_CODE
from training.slate.artist_cap import ArtistCap
from training.slate.blend import scale_by_max

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Floats = NDArray[np.floating]


def select_slots(
    scores_C: Floats,
    is_discovery_C: Bools,
    artist_C: Ints,
    is_discovery_L: Bools,
    cap: ArtistCap,
    similarity_CC: Floats | None = None,
    strength: float = 0.0,
    first: int = 0,
) -> list[int]:
    """Positions of the candidates selected for each slot, in order; fewer than slots if too few candidates are left.

    Each slot gets the candidate of its kind with the highest (1 - strength) · score - strength · mean similarity to the
    candidates selected before; without one of its kind, the best of the other kind. Ties keep their order.

    Args:
        scores_C: Positive scores in any unit, comparable within a kind; scaled so that the best of a kind after the
            `first` candidates has 1.
        is_discovery_C: Kind of each candidate.
        artist_C: Main artist of each candidate.
        is_discovery_L: Kind of each slot.
        cap: Maximum number of tracks per artist; discoveries are the new tracks.
        similarity_CC: Similarities in 0..1. NaN is replaced by the mean, so that it is neutral. None: not needed,
            because `strength` is 0.
        strength: From 0 (score only) to 1 (similarity only).
        first: Number of leading candidates that are selected already and have the first slots, whatever their artists.
    """
    is_left_C = np.arange(len(scores_C)) >= first
    score_C = np.zeros(len(scores_C))
    for is_discovery in (True, False):
        is_scaled_C = is_left_C & (is_discovery_C == is_discovery)
        score_C[is_scaled_C] = scale_by_max(np.asarray(scores_C, dtype=np.float64)[is_scaled_C])
    selected = list(range(min(first, len(is_discovery_L))))
    remaining = is_discovery_L[len(selected) :].tolist()
    group_C, limit_C = cap.groups(artist_C, is_discovery_C), cap.limits(is_discovery_C)
    counts = Counter(group_C[selected].tolist())
    if strength == 0 or similarity_CC is None:
        return selected + _take_best(score_C, is_discovery_C, is_left_C, group_C, remaining, limit_C, counts)
    count_C = np.array([counts[group] for group in group_C.tolist()], dtype=np.int64)
    is_left_C &= (group_C < FIRST_CODE) | (count_C < limit_C)
    filled_CC = _replace_unknown(similarity_CC)
    similarity_sum_C = filled_CC[selected].sum(axis=0)
    for is_discovery in remaining:
        is_choice_C = is_left_C & (is_discovery_C == is_discovery)
        if not is_choice_C.any():
            is_choice_C = is_left_C
            if not is_choice_C.any():
                break
        marginal_C = (1 - strength) * score_C - strength * similarity_sum_C / max(len(selected), 1)
        position = int(np.argmax(np.where(is_choice_C, marginal_C, -np.inf)))
        selected.append(position)
        is_left_C[position] = False
        similarity_sum_C += filled_CC[position]
        group = int(group_C[position])
        counts[group] += 1
        if group >= FIRST_CODE and counts[group] >= limit_C[position]:
            is_left_C &= group_C != group
    return selected


def _take_best(
    score_C: Floats,
    is_discovery_C: Bools,
    is_left_C: Bools,
    group_C: Ints,
    kinds: list[bool],
    limit_C: Ints,
    counts: Counter[int],
) -> list[int]:
    """The best remaining candidate for each slot of `kinds`, without similarities; `counts` has tracks by group of the cap."""
    order = np.argsort(-score_C, kind="stable")
    queues = {kind: iter(order[(is_left_C & (is_discovery_C == kind))[order]].tolist()) for kind in (True, False)}
    groups, limits = group_C.tolist(), limit_C.tolist()

    def next_allowed(kind: bool) -> int | None:
        # A candidate beyond the cap of its artist stays beyond it.
        return next(
            (place for place in queues[kind] if groups[place] < FIRST_CODE or counts[groups[place]] < limits[place]),
            None,
        )

    selected: list[int] = []
    for kind in kinds:
        place = next_allowed(kind)
        if place is None:
            place = next_allowed(not kind)
        if place is None:
            break
        selected.append(place)
        counts[groups[place]] += 1
    return selected


def _replace_unknown(similarity_CC: Floats) -> Floats:
    """Similarities with the mean of two different candidates instead of NaN."""
    valid = similarity_CC[~np.isnan(similarity_CC) & ~np.eye(len(similarity_CC), dtype=bool)]
    filled_CC: Floats = np.nan_to_num(similarity_CC, nan=float(valid.mean()) if len(valid) else 0.0)
    return filled_CC
