"""Similarity of tracks and MMR reranking against plain Python oracles."""

import math

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from training.data.catalog import TrackFacets
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
        {"track_id": range(count)}
        | {name: pl.Series(values, dtype=pl.List(pl.String)) for name, values in rows.items()}
    )
    return frame, items


def cosine(left, right):
    return len(left & right) / math.sqrt(len(left) * len(right))


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_similarity_is_the_mean_cosine_of_shared_facets(world):
    rows, items = world
    similarity = TrackFacets.build(rows).similarity(np.array(items))
    table = [{name: set(row.get(name) or []) - {None} for name in FACETS} for row in rows.to_dicts()]
    for index, item in enumerate(items):
        for other_index, other in enumerate(items):
            known = [name for name in FACETS if table[item][name] and table[other][name]]
            found = [cosine(table[item][name], table[other][name]) for name in known]
            expected = sum(found) / len(found) if found else float("nan")
            assert np.isclose(similarity[index, other_index], expected, atol=1e-5, equal_nan=True)


def test_diversity_averages_pairs_with_a_similarity():
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
def test_mmr_selects_the_best_remaining_candidate(candidates, data, limit, cap, strength):
    count = len(candidates)
    scores, artists = [score for score, _ in candidates], [artist for _, artist in candidates]
    pairs = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan]), min_size=count, max_size=count)
    alike = np.array([data.draw(pairs) for _ in range(count)]).reshape(count, count)
    alike = np.triu(alike, 1) + np.triu(alike, 1).T + np.eye(count)
    first = data.draw(st.integers(0, count))
    known = [alike[i, j] for i in range(count) for j in range(count) if i != j and not math.isnan(alike[i, j])]
    mean = sum(known) / len(known) if known else 0.0
    largest = max(scores[first:], default=1)
    selected = []

    def is_below_cap(place):
        return artists[place] < 2 or sum(artists[one] == artists[place] for one in selected) < cap

    def objective(place):
        similarities = [mean if math.isnan(alike[place, one]) else alike[place, one] for one in selected]
        return (1 - strength) * scores[place] / largest - strength * sum(similarities) / max(len(selected), 1)

    for place in range(first):
        if is_below_cap(place) and len(selected) < limit:
            selected.append(place)
    while len(selected) < limit:
        left = [place for place in range(first, count) if place not in selected and is_below_cap(place)]
        if not left:
            break
        selected.append(max(left, key=lambda place: (round(objective(place), 9), -place)))
    got = rerank_mmr(np.array(scores), alike, np.array(artists, dtype=np.int64), limit, cap, strength, first)
    if got != selected:  # only allowed if two candidates are equal up to rounding
        place = next(n for n, (one, other) in enumerate(zip(got, selected, strict=False)) if one != other)
        one, other = got[place], selected[place]
        del selected[place:]
        assert abs(objective(one) - objective(other)) < 1e-6
