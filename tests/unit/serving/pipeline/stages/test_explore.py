"""Exploration: new tracks in the last slots, with the frequency of their propensity."""

from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recommender.catalog.catalog import NEW_TRACK_PLAY_THRESHOLD, Catalog
from recommender.catalog.vocabulary import Vocabulary
from recommender.slate.candidate_table import CandidateTable
from recommender.slate.scene_settings import SCENES
from serving.pipeline.stages.select import explore
from tests.support.serving.small_release import ListChannel, history, release, tracks
from tests.support.training.recall_cases import ragged

COUNT, DRAWS = 9, 2000


def catalog(new=(), **columns):
    plays = [0 if n in new else NEW_TRACK_PLAY_THRESHOLD for n in range(COUNT)]
    table = tracks(COUNT, plays_total=plays, artist_ids=[[f"a{n}"] for n in range(COUNT)]).with_columns(
        **{name: pl.Series(values) for name, values in columns.items()}
    )
    return Catalog.build(table, Vocabulary.build(table, table.select("track_id")))


def draws(shares, new, chosen=4, first=0, **columns):
    """Item → slot → number of explorations in DRAWS draws, and the propensities."""
    of, found = catalog(new, **columns), {"popularity": np.arange(2, 2 + COUNT)[None, :]}
    candidates = CandidateTable.merge(found, ragged([])).scored(np.linspace(1, 0.5, COUNT))
    candidates = replace(candidates, slot_C=np.where(np.arange(COUNT) < first, np.arange(COUNT), -1))
    frequencies, propensities = Counter(), {}
    for seed in range(DRAWS):
        answer = explore(candidates.take(slice(chosen)), candidates, of, shares, f"r{seed}")
        items = answer.item_C.tolist()
        assert len(set(items)) == len(answer) == chosen
        for place in np.flatnonzero(answer.propensity_C < 1).tolist():
            frequencies[items[place], place] += 1
            propensities[items[place], place] = answer.propensity_C[place]
        kept = answer.item_C[answer.propensity_C == 1].tolist()
        assert kept == candidates.item_C[: len(kept)].tolist()
    return frequencies, propensities


@pytest.mark.parametrize("share", [0.1, 0.25, 0.4, 0.7])
def test_empirical_frequency_matches_propensity(share):
    frequencies, propensities = draws(share, new=(1, 5, 6, 8))
    assert {item for item, _ in frequencies} == {7, 8, 10}  # track 1 is chosen without exploration
    for at, propensity in propensities.items():
        # Four standard errors: one of some dozen comparisons fails by chance once in a thousand runs, and seeds are fixed.
        assert frequencies[at] / DRAWS == pytest.approx(propensity, abs=4 * np.sqrt(propensity / DRAWS))
    assert sum(frequencies.values()) / DRAWS == pytest.approx(share * 4, abs=0.05)
    assert {place for _, place in frequencies} == {1: {3}, 2: {3, 2}, 3: {3, 2, 1}}[int(np.ceil(share * 4))]


@pytest.mark.parametrize(
    ("share", "new", "first"), [(0.0, (5, 6), 0), (0.5, (), 0), (0.5, (6,), 0), (0.5, (0, 1), 0), (0.5, (5, 6), 4)]
)
def test_no_exploration_without_pool_or_slots(share, new, first):
    assert not draws(share, new, first=first)[0]


def test_leading_slots_are_not_explored():
    frequencies, _ = draws(0.5, new=(5, 6, 7), first=2)
    assert {place for _, place in frequencies} == {3}


def test_exploration_shows_artists_who_are_not_in_the_response():
    frequencies, propensities = draws(
        0.5, new=(4, 5, 6, 7, 8), artist_ids=[["a"], ["a"], ["b"], ["c"], ["a"], ["d"], ["d"], ["e"], ["e"]]
    )
    # a is in the response; of d and of e the better one may come.
    assert {item for item, _ in frequencies} == {7, 9}
    assert set(propensities.values()) == {0.5}


def test_daily_list_keeps_explored_tracks_and_propensities(bench, monkeypatch):
    monkeypatch.setitem(SCENES, "daily", replace(SCENES["daily"], exploration_rate=0.25))
    bench.store.users["u"] = history("t0")
    table = tracks(8, plays_total=[NEW_TRACK_PLAY_THRESHOLD] * 4 + [0] * 4, artist_ids=[[name] for name in "abcdxxyy"])
    of = release(table, [ListChannel("popularity", range(2, 10))])
    first = bench.answer(of, limit=4)
    last = first.items[-1]
    assert [item.is_exploration for item in first.items] == [False] * 3 + [True]
    # t4 to t7 are new, two and two of an artist, and the better one of each is in the draw.
    assert last.track_id in {"t4", "t6"} and last.propensity == 0.5
    assert [item.propensity for item in first.items[:3]] == [1.0] * 3
    assert (first.trace.explored, bench.count("segue_explored", scene="daily")) == (1, 1)
    again = bench.answer(of, limit=4)
    assert again.items[-1] == last and again.trace.explored == 0
    assert bench.answer(of, user_id="u", limit=4, discovery=0.0).trace.explored == 0
