"""Selection of the visible list: spacing of artists, and diversity by maximal marginal relevance (MMR).

The slots of repeats and of discoveries are given, see `recommender.slate.slots`. A track by another artist than the one before
comes first, and slots of both kinds are exchanged for it; then in some slots one by a new artist, and the head of the list
has a cap per artist of its own. These give way where the tracks do not allow them, the cap of the whole list does not.

MMR: Carbonell and Goldstein (SIGIR 1998). Difference: the similarity to the selected tracks is their mean rather than
their maximum, since two tracks of one style and mood are common, and after the first such pair the maximum carries no
information.

Evaluation and serving call the same functions. Legend: C candidates, L slots.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recommender.array_types import AnyFloats, Bools, Ints
from recommender.compiled import compiled
from recommender.slate.ranker_blend import scale_by_max
from recommender.slate.scene_settings import HEAD_LENGTH, ArtistCap
from sequences.sequence_batch import FIRST_CODE


class SlotCandidates(NamedTuple):
    """Candidates of the slots of one list."""

    score_C: NDArray[np.float64]  # weighted
    is_discovery_C: Bools  # kind of each candidate
    group_C: Ints  # candidates that the cap counts together; not capped below FIRST_CODE
    limit_C: Ints  # largest number of candidates of the group
    artist_C: Ints  # main artist; unknown below FIRST_CODE
    is_new_artist_C: Bools  # by an artist that is new to the user


class Spacing(NamedTuple):
    """How the artists of one list are spaced."""

    is_on: bool  # whether they are
    is_new_artist_L: Bools  # slots for artists that are new to the user
    head_tracks: int  # largest number of tracks by one artist among the first HEAD_LENGTH
    artist_before: int  # artist of the track before the first slot; 0 without one


def select_slots(
    scores_C: AnyFloats,
    is_discovery_C: Bools,
    artist_C: Ints,
    is_discovery_L: Bools,
    cap: ArtistCap,
    similarity_CC: AnyFloats | None = None,
    strength: float = 0.0,
    given_L: Ints | None = None,
    artist_before: int = 0,
    new_artists: tuple[Bools, Bools] | None = None,
) -> Ints:
    """Position of the candidate selected for each slot, [L]; -1 for a slot for which no candidate is left.

    Each slot gets the candidate of its kind with the highest (1 - strength) · score - strength · mean similarity to the
    candidates selected before, among those that keep kinds and artists best (see the module). Ties keep their order.

    Args:
        scores_C: Positive scores in any unit, comparable within a kind; scaled so that the best of a kind that is not
            given has 1.
        is_discovery_C: Kind of each candidate.
        artist_C: Main artist of each candidate.
        is_discovery_L: Kind of each slot.
        cap: Maximum numbers of tracks per artist; discoveries are the new tracks.
        similarity_CC: Similarities in 0..1. NaN is replaced by the mean, so that it is neutral. None: not needed,
            because `strength` is 0.
        strength: From 0 (score only) to 1 (similarity only).
        given_L: Position of the candidate that a slot has already, whatever its artist; -1 for none. None: no slot has one.
        artist_before: Artist of the track before the first slot, in a list that is continued.
        new_artists: Which candidates are by artists that are new to the user, and which slots are for these; None: none.
    """
    C, L = len(scores_C), len(is_discovery_L)
    position_L = np.full(L, -1) if given_L is None else np.array(given_L, dtype=np.int64)
    is_left_C = np.ones(C, dtype=bool)
    is_left_C[position_L[position_L >= 0]] = False
    score_C = np.zeros(C)
    for is_discovery in (True, False):
        is_scaled_C = is_left_C & (is_discovery_C == is_discovery)
        score_C[is_scaled_C] = scale_by_max(np.asarray(scores_C, dtype=np.float64)[is_scaled_C])
    weight, filled_CC = 0.0, np.zeros((0, 0), dtype=np.float32)
    if strength > 0 and similarity_CC is not None:
        weight, filled_CC = strength, _replace_unknown(similarity_CC)
    is_new_artist_C, is_new_artist_L = new_artists or (np.zeros(C, dtype=np.bool_), np.zeros(L, dtype=np.bool_))
    _fill_slots(
        position_L,
        is_left_C,
        SlotCandidates(
            (1 - weight) * score_C,
            np.asarray(is_discovery_C, dtype=np.bool_),
            cap.groups(artist_C, is_discovery_C),
            cap.limits(is_discovery_C),
            np.asarray(artist_C, dtype=np.int64),
            is_new_artist_C,
        ),
        np.array(is_discovery_L, dtype=np.bool_),
        filled_CC,
        filled_CC.dtype.type(weight),
        Spacing(cap.is_spaced, is_new_artist_L, cap.head_tracks, artist_before),
    )
    return position_L


@compiled
def _fill_slots(
    position_L: Ints,
    is_left_C: Bools,
    candidates: SlotCandidates,
    is_discovery_L: Bools,
    similarity_CC: AnyFloats,
    strength: np.floating,
    spacing: Spacing,
) -> None:
    """Write the candidates of the slots that have none.

    Args:
        position_L: Candidates by slot; -1 for a slot that has none.
        is_left_C: Candidates that are not selected; selected ones are removed.
        candidates: The candidates.
        is_discovery_L: Kind of each slot; two slots are exchanged where that keeps the artists apart.
        similarity_CC: Similarities without NaN; not read if `strength` is 0.
        strength: Weight of the similarity, of the type of `similarity_CC`, in which the similarities are summed.
        spacing: How artists are spaced.
    """
    score_C = candidates.score_C
    penalty_C = np.zeros(len(score_C), dtype=similarity_CC.dtype)
    sum_C = np.zeros_like(penalty_C)
    for place in position_L:
        if place >= 0:
            _close_full_group(candidates, position_L, place, is_left_C)
    selected = 0
    for slot in range(len(position_L)):
        if position_L[slot] < 0:
            other = _next_slot_of_other_kind(is_discovery_L, position_L, slot)
            tier_C = _preference_tiers(candidates, position_L, slot, is_discovery_L[slot], other > 0, spacing)
            place = _find_best(is_left_C, tier_C, score_C, penalty_C)
            if place < 0:
                continue
            if other > 0 and candidates.is_discovery_C[place] != is_discovery_L[slot]:
                is_discovery_L[other] = is_discovery_L[slot]
            position_L[slot] = place
            is_left_C[place] = False
            _close_full_group(candidates, position_L, place, is_left_C)
        selected += 1
        if strength > 0:
            sum_C += similarity_CC[position_L[slot]]
            penalty_C = strength * sum_C / similarity_CC.dtype.type(selected)


@compiled
def _close_full_group(candidates: SlotCandidates, position_L: Ints, place: int, is_left_C: Bools) -> None:
    """Remove the candidates of the group of `place` if it has as many selected ones as the cap allows."""
    group = candidates.group_C[place]
    selected = 0
    for other in position_L:
        if other >= 0 and candidates.group_C[other] == group:
            selected += 1
    if group >= FIRST_CODE and selected >= candidates.limit_C[place]:
        is_left_C &= candidates.group_C != group


@compiled
def _next_slot_of_other_kind(is_discovery_L: Bools, position_L: Ints, slot: int) -> int:
    """The next empty slot of the kind that a slot does not have; 0 if there is none."""
    for later in range(slot + 1, len(is_discovery_L)):
        if position_L[later] < 0 and is_discovery_L[later] != is_discovery_L[slot]:
            return later
    return 0


@compiled
def _preference_tiers(
    candidates: SlotCandidates,
    position_L: Ints,
    slot: int,
    is_discovery: bool,
    has_other_slots: bool,
    spacing: Spacing,
) -> Ints:
    """How well each candidate fits a slot: 0 best. The artists of the tracks beside it count most if a later slot can be
    exchanged with this one, else its kind does; then whether its artist is new, then the number of tracks by its artist in
    the head of the list.
    """
    artist_C = candidates.artist_C
    before = spacing.artist_before if slot == 0 else 0
    if slot > 0 and position_L[slot - 1] >= 0:
        before = artist_C[position_L[slot - 1]]
    after = 0
    if slot + 1 < len(position_L) and position_L[slot + 1] >= 0:
        after = artist_C[position_L[slot + 1]]
    tier_C = np.zeros(len(artist_C), dtype=np.int64)
    for place in range(len(tier_C)):
        artist = artist_C[place]
        if candidates.is_discovery_C[place] != is_discovery:
            tier_C[place] += 4 if has_other_slots and spacing.is_on else 16
        if not spacing.is_on:
            continue
        if spacing.is_new_artist_L[slot] and not candidates.is_new_artist_C[place]:
            tier_C[place] += 2
        if artist < FIRST_CODE:
            continue
        if artist in (before, after):
            tier_C[place] += 8
        if slot < HEAD_LENGTH:
            in_head = 0
            for other in position_L[:HEAD_LENGTH]:
                if other >= 0 and artist_C[other] == artist:
                    in_head += 1
            tier_C[place] += in_head >= spacing.head_tracks
    return tier_C


@compiled
def _find_best(is_left_C: Bools, tier_C: Ints, score_C: NDArray[np.float64], penalty_C: AnyFloats) -> int:
    """The first of the best candidates that are left in the lowest tier; -1 if none is left."""
    best, best_value = -1, 0.0
    for place in range(len(score_C)):
        if not is_left_C[place] or (best >= 0 and tier_C[place] > tier_C[best]):
            continue
        value = score_C[place] - penalty_C[place]
        if best < 0 or tier_C[place] < tier_C[best] or value > best_value:
            best, best_value = place, value
    return best


def _replace_unknown(similarity_CC: AnyFloats) -> AnyFloats:
    """Similarities with the mean of two different candidates instead of NaN."""
    is_unknown_CC = np.isnan(similarity_CC)
    filled_CC: AnyFloats = np.where(is_unknown_CC, similarity_CC.dtype.type(0), similarity_CC)
    pairs = is_unknown_CC.size - len(filled_CC) - np.count_nonzero(is_unknown_CC) + int(is_unknown_CC.trace())
    mean = (filled_CC.sum(dtype=np.float64) - filled_CC.trace(dtype=np.float64)) / max(pairs, 1)
    filled_CC[is_unknown_CC] = mean
    return filled_CC
