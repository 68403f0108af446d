"""Similarity of tracks against a plain Python oracle."""

import math
from itertools import product

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from content import FACETS
from recommender.catalog.catalog import TrackFacets

VALUES = st.one_of(st.none(), st.lists(st.sampled_from([None, "x", "y", "z"]), max_size=3))


@st.composite
def worlds(draw):
    count = draw(st.integers(1, 7))
    rows = {
        name: draw(st.lists(VALUES, min_size=count, max_size=count)) for name in draw(st.sets(st.sampled_from(FACETS)))
    }
    items = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=6, unique=True))
    columns = {name: pl.Series(values, dtype=pl.List(pl.String)) for name, values in rows.items()}
    return pl.DataFrame({"track_id": range(count)} | columns), items


@settings(max_examples=80, deadline=None)
@given(worlds())
def test_similarity_is_the_mean_cosine_of_shared_facets(world):
    rows, items = world
    similarity = TrackFacets.build(rows).similarity(np.array(items))
    table = [{name: set(row.get(name) or []) - {None} for name in FACETS} for row in rows.to_dicts()]
    for (index, item), (other_index, other) in product(enumerate(items), repeat=2):
        pairs = [(table[item][name], table[other][name]) for name in FACETS]
        found = [len(a & b) / math.sqrt(len(a) * len(b)) for a, b in pairs if a and b]
        expected = sum(found) / len(found) if found else float("nan")
        assert np.isclose(similarity[index, other_index], expected, atol=1e-5, equal_nan=True)


def test_diversity_averages_pairs_with_a_similarity():
    facets = TrackFacets.build(pl.DataFrame({"styles": [[], ["x"], ["x"], ["y"], []]}))
    found = facets.intra_list_diversity(np.array([[1, 2, 0], [1, 2, 3], [1, 3, 4], [1, 4, 0]]))
    assert np.allclose(found, [0, 2 / 3, 1, np.nan], equal_nan=True)
