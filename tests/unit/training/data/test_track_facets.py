"""How alike tracks are, and which of them an answer takes, against slow oracles."""

import math

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.track_facets import TrackFacets
from training.data.training_data import FACETS
from training.slate.diversity import rerank_mmr

VALUES = st.one_of(st.none(), st.lists(st.sampled_from([None, "x", "y", "z"]), max_size=3))


@st.composite
def worlds(draw):
    count = draw(st.integers(1, 7))
    rows = {
        name: draw(st.lists(VALUES, min_size=count, max_size=count)) for name in draw(st.sets(st.sampled_from(FACETS)))
    }
    items = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=6, unique=True))
    frame = pl.DataFrame(
        {"track_id": range(count)} | {name: pl.Series(of, dtype=pl.List(pl.String)) for name, of in rows.items()}
    )
    return frame, items


def cosine(one, other):
    return len(one & other) / math.sqrt(len(one) * len(other))


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_similarity_is_the_mean_cosine_of_the_facets_that_both_have(world):
    rows, items = world
    alike = TrackFacets.build(rows).similarity(np.array(items))
    table = [{name: set(row.get(name) or []) - {None} for name in FACETS} for row in rows.to_dicts()]
    for place, item in enumerate(items):
        for other_place, other in enumerate(items):
            known = [name for name in FACETS if table[item][name] and table[other][name]]
            found = [cosine(table[item][name], table[other][name]) for name in known]
            expected = sum(found) / len(found) if found else float("nan")
            assert np.isclose(alike[place, other_place], expected, atol=1e-5, equal_nan=True)


def test_the_diversity_of_a_list_is_that_of_its_known_pairs():
    rows = pl.DataFrame({"styles": [[], ["x"], ["x"], ["y"], []]})
    lists = np.array([[1, 2, 0], [1, 2, 3], [1, 3, 4], [1, 4, 0]])
    found = TrackFacets.build(rows).intra_list_diversity(lists)
    assert np.allclose(found, [0, 2 / 3, 1, np.nan], equal_nan=True)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.integers(0, 4)), max_size=8),
    st.data(),
    st.integers(1, 8),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.2, 0.7, 1.0]),
)
def test_each_place_goes_to_the_best_that_is_left(candidates, data, limit, most, strength):
    count = len(candidates)
    scores, artists = [score for score, _ in candidates], [artist for _, artist in candidates]
    pairs = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan]), min_size=count, max_size=count)
    alike = np.array([data.draw(pairs) for _ in range(count)]).reshape(count, count)
    alike = np.triu(alike, 1) + np.triu(alike, 1).T + np.eye(count)
    first = data.draw(st.integers(0, count))
    known = [alike[i, j] for i in range(count) for j in range(count) if i != j and not math.isnan(alike[i, j])]
    mean = sum(known) / len(known) if known else 0.0
    largest = max(scores[first:], default=1)
    chosen = []

    def has_room(place):
        return artists[place] < 2 or sum(artists[one] == artists[place] for one in chosen) < most

    def worth(place):
        likeness = [mean if math.isnan(alike[place, one]) else alike[place, one] for one in chosen]
        return (1 - strength) * scores[place] / largest - strength * sum(likeness) / max(len(chosen), 1)

    for place in range(first):
        if has_room(place) and len(chosen) < limit:
            chosen.append(place)
    while len(chosen) < limit:
        left = [place for place in range(first, count) if place not in chosen and has_room(place)]
        if not left:
            break
        chosen.append(max(left, key=lambda place: (round(worth(place), 9), -place)))
    got = rerank_mmr(np.array(scores), alike, np.array(artists, dtype=np.int64), limit, most, strength, first)
    if got != chosen:  # unless two were worth the same but for rounding
        place = next(n for n, (one, other) in enumerate(zip(got, chosen, strict=False)) if one != other)
        one, other = got[place], chosen[place]
        del chosen[place:]
        assert abs(worth(one) - worth(other)) < 1e-6
