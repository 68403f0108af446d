"""Artist cap and MMR against plain Python oracles."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.slate.mmr_selection import select_slots
from recommender.slate.scene_settings import HEAD_LENGTH, ArtistCap


@settings(max_examples=200, deadline=None)
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
    slots_of_given = st.lists(st.integers(0, len(slots) - 1), unique=True, max_size=count)
    selected = {slot: place for place, slot in enumerate(data.draw(slots_of_given))}
    given = [selected.get(slot, -1) for slot in range(len(slots))]
    known = [alike[i, j] for i in range(count) for j in range(count) if i != j and not math.isnan(alike[i, j])]
    mean = sum(known) / len(known) if known else 0.0
    largest = {
        kind: max((scores[n] for n in range(count) if n not in given and kinds[n] == kind), default=1)
        for kind in (True, False)
    }

    def is_below_cap(place):
        counted = [one for one in selected.values() if artists[one] == artists[place]]
        if cap.new_tracks is None:
            return artists[place] < 2 or len(counted) < cap.tracks
        limit = cap.new_tracks if kinds[place] else cap.tracks
        return artists[place] < 2 or sum(kinds[one] == kinds[place] for one in counted) < limit

    def objective(place, slot):
        before = [one for at, one in selected.items() if at < slot]
        similarities = [mean if math.isnan(alike[place, one]) else alike[place, one] for one in before]
        own = (1 - strength) * scores[place] / largest[kinds[place]]
        return own - strength * sum(similarities) / max(len(before), 1)

    is_new = [data.draw(st.booleans()) for _ in range(count)]
    wants_new = [data.draw(st.booleans()) for _ in slots]

    def has_later(slot, kind):
        return any(wanted[later] == kind for later in range(slot + 1, len(slots)) if later not in selected)

    def tier(place, slot):
        artist, head = artists[place], [artists[one] for at, one in selected.items() if at < HEAD_LENGTH]
        beside = [artists[selected[at]] for at in (slot - 1, slot + 1) if at in selected]
        is_full = slot < HEAD_LENGTH and head.count(artist) >= cap.head_tracks
        is_known = wants_new[slot] and not is_new[place]
        is_neighbor, is_other_kind = artist >= 2 and artist in beside, kinds[place] != wanted[slot]
        most = (is_neighbor, is_other_kind) if has_later(slot, not wanted[slot]) else (is_other_kind, is_neighbor)
        return *most, is_known, artist >= 2 and is_full

    wanted, expected = list(slots), {}
    for slot in range(len(slots)):
        left = [place for place in range(count) if place not in selected.values() and is_below_cap(place)]
        if slot in selected or not left:
            continue
        lowest = min(tier(place, slot) for place in left)
        left = [place for place in left if tier(place, slot) == lowest]
        best = max(left, key=lambda place: (round(objective(place, slot), 9), -place))
        expected[slot] = objective(best, slot), {place: objective(place, slot) for place in left}
        if kinds[best] != wanted[slot] and has_later(slot, not wanted[slot]):
            later = next(at for at in range(slot + 1, len(slots)) if at not in selected and wanted[at] != wanted[slot])
            wanted[later] = wanted[slot]
        selected[slot] = best
    got = select_slots(
        np.array(scores),
        np.array(kinds, dtype=bool),
        np.array(artists, dtype=np.int64),
        np.array(slots),
        cap,
        alike,
        strength,
        np.array(given),
        new_artists=(np.array(is_new, dtype=bool), np.array(wants_new)),
    ).tolist()
    for slot, place in enumerate(got):
        if place != selected.get(slot, -1):  # only allowed if two candidates are equal up to rounding
            value, values = expected[slot]
            assert place in values and abs(values[place] - value) < 1e-6
            break
