"""Artist cap and MMR against plain Python oracles."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.slate.artist_cap import HEAD_LENGTH, ArtistCap
from training.slate.mmr_selection import select_slots


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.integers(0, 4), st.booleans()), max_size=9),
    st.data(),
    st.lists(st.booleans(), min_size=1, max_size=8),
    st.builds(ArtistCap, st.integers(1, 3), st.none() | st.integers(1, 3)),
    st.sampled_from([0.0, 0.2, 0.7, 1.0]),
)
def test_each_slot_gets_the_best_remaining_candidate_of_its_kind(candidates, data, slots, cap, strength):
    count = len(candidates)
    scores, artists, kinds = ([one[field] for one in candidates] for field in range(3))
    pairs = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan]), min_size=count, max_size=count)
    alike = np.array([data.draw(pairs) for _ in range(count)]).reshape(count, count)
    alike = np.triu(alike, 1) + np.triu(alike, 1).T + np.eye(count)
    first = data.draw(st.integers(0, count))
    known = [alike[i, j] for i in range(count) for j in range(count) if i != j and not math.isnan(alike[i, j])]
    mean = sum(known) / len(known) if known else 0.0
    largest = {
        kind: max((scores[n] for n in range(first, count) if kinds[n] == kind), default=1) for kind in (True, False)
    }
    selected = list(range(count))[: min(first, len(slots))]

    def is_below_cap(place):
        counted = [one for one in selected if artists[one] == artists[place]]
        if cap.new_tracks is None:
            return artists[place] < 2 or len(counted) < cap.tracks
        limit = cap.new_tracks if kinds[place] else cap.tracks
        return artists[place] < 2 or sum(kinds[one] == kinds[place] for one in counted) < limit

    def objective(place):
        similarities = [mean if math.isnan(alike[place, one]) else alike[place, one] for one in selected]
        own = (1 - strength) * scores[place] / largest[kinds[place]]
        return own - strength * sum(similarities) / max(len(selected), 1)

    is_new = [data.draw(st.booleans()) for _ in range(count)]
    wants_new = [data.draw(st.booleans()) for _ in slots]

    def tier(place, slot):
        artist, head = artists[place], [artists[one] for one in selected]
        before = head[-1] if head else 0
        is_full = len(head) < HEAD_LENGTH and head.count(artist) >= cap.head_tracks
        is_known = wants_new[len(selected)] and not is_new[place]
        is_neighbor, is_other_kind = artist >= 2 and artist == before, kinds[place] != slot
        has_other_slots = (not slot) in wanted[len(head) + 1 :]
        most = (is_neighbor, is_other_kind) if has_other_slots else (is_other_kind, is_neighbor)
        return *most, is_known, artist >= 2 and is_full

    wanted = list(slots)
    while len(selected) < len(slots):
        slot = wanted[len(selected)]
        left = [place for place in range(first, count) if place not in selected and is_below_cap(place)]
        if not left:
            break
        lowest = min(tier(place, slot) for place in left)
        left = [place for place in left if tier(place, slot) == lowest]
        selected.append(max(left, key=lambda place: (round(objective(place), 9), -place)))
        if kinds[selected[-1]] != slot and (not slot) in wanted[len(selected) :]:
            wanted[wanted.index(not slot, len(selected))] = slot
    got = select_slots(
        np.array(scores),
        np.array(kinds, dtype=bool),
        np.array(artists, dtype=np.int64),
        np.array(slots),
        cap,
        alike,
        strength,
        first,
        new_artists=(np.array(is_new, dtype=bool), np.array(wants_new)),
    )
    if got != selected:  # only allowed if two candidates are equal up to rounding
        place = next(n for n, (one, other) in enumerate(zip(got, selected, strict=False)) if one != other)
        one, other = got[place], selected[place]
        del selected[place:]
        assert kinds[one] == kinds[other] and abs(objective(one) - objective(other)) < 1e-6
