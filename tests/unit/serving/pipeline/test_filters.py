"""Filters against a slow oracle, on worlds that hypothesis makes."""

from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.pipeline.track_pipeline import select
from tests.support.serving.small_release import tracks
from training.data.catalog import Catalog
from training.data.vocabulary import Vocabulary
from training.slate.filters import Exclusions, FilterContext, apply_filters

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
COUNTRIES = st.sampled_from([None, [], ["DE"], ["us", "FR"], ["US", "DE"]])
NOW_US = int(NOW.timestamp()) * 1_000_000
COUNT = 9
ARTISTS = ["a", "b", "c", "d"]
TIMES = st.sampled_from([None, *(NOW.replace(tzinfo=None) + timedelta(microseconds=step) for step in (-1, 0, 1))])


@st.composite
def worlds(draw):
    def each(values):
        return draw(st.lists(values, min_size=COUNT, max_size=COUNT))

    table = tracks(
        COUNT,
        artist_ids=each(st.lists(st.sampled_from(ARTISTS), max_size=3)),
        recording_id=each(st.sampled_from([None, "x", "y", "z"])),
        available_from=each(TIMES),
        available_until=each(TIMES),
        is_in_catalogue=each(st.booleans()),
        territories=each(COUNTRIES),
        is_explicit=each(st.sampled_from([None, True, False])),
    )
    exclusions = Exclusions(
        frozenset(draw(st.lists(st.sampled_from([f"t{n}" for n in range(COUNT)] + ["gone"]), max_size=3))),
        frozenset(draw(st.lists(st.sampled_from([*ARTISTS, "gone"]), max_size=2))),
    )
    items = draw(st.lists(st.integers(0, COUNT + 1), max_size=20))
    already = draw(st.lists(st.integers(2, COUNT + 1), max_size=3))
    return table, exclusions, np.array(items, dtype=np.int64), np.array(already, dtype=np.int64)


def oracle(table, exclusions, vocabulary, items, already, territory, is_explicit_wanted):
    rows = {row["track_id"]: row for row in table.to_dicts()}
    gone = {*exclusions.track_ids, *(str(vocabulary.track_ids_V[item]) for item in already)}
    excluded_recordings = {rows[t]["recording_id"] or t for t in gone if t in rows}
    kept, seen = [], set()
    for place, item in enumerate(items.tolist()):
        if item < 2:
            continue
        track = str(vocabulary.track_ids_V[item])
        row = rows[track]
        recording = row["recording_id"] or track
        begins, ends = row["available_from"], row["available_until"]
        now = NOW.replace(tzinfo=None)
        if not row["is_in_catalogue"] or (begins and now < begins) or (ends and now >= ends):
            continue
        countries = [country.upper() for country in row["territories"] or []]
        if countries and territory is not None and territory not in countries:
            continue
        if row["is_explicit"] and not is_explicit_wanted:
            continue
        if recording in excluded_recordings or set(row["artist_ids"]) & exclusions.artist_ids or recording in seen:
            continue
        seen.add(recording)
        kept.append(place)
    return kept


@settings(max_examples=300, deadline=None)
@given(worlds(), st.sampled_from([None, "", "DE", "US"]), st.booleans())
def test_filters_keep_exactly_what_the_oracle_keeps(world, territory, is_explicit_wanted):
    table, exclusions, items, already = world
    wanted = territory, is_explicit_wanted
    vocabulary = Vocabulary.build(table, table.select("track_id"))
    catalogue = Catalog.build(table, vocabulary)
    shown = FilterContext(catalogue, exclusions, vocabulary.track_code, NOW_US, already, *wanted)
    places, removed = apply_filters(items, shown)
    assert places.tolist() == oracle(table, exclusions, vocabulary, items, already, *wanted)
    assert len(items) - sum(removed.values()) == len(places)


@settings(max_examples=200, deadline=None)
@given(worlds(), st.integers(1, 10), st.integers(1, 3))
def test_select_takes_the_first_ones_within_the_artist_cap(world, limit, cap):
    table, _, items, _ = world
    vocabulary = Vocabulary.build(table, table.select("track_id"))
    catalogue = Catalog.build(table, vocabulary)
    artists_of = dict(zip(table["track_id"], table["artist_ids"].to_list(), strict=True))
    taken = []
    for place, item in enumerate(items.tolist()):
        mine = artists_of.get(str(vocabulary.track_ids_V[item]), [])[:1]
        others = [artists_of.get(str(vocabulary.track_ids_V[items[other]]), [])[:1] for other in taken]
        if len(taken) < limit and (not mine or others.count(mine) < cap):
            taken.append(place)
    assert select(items, catalogue, limit, cap) == taken
