"""Recall of subsets of the targets, against values by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from recommender.catalog.arrays import Ragged
from recommender.catalog.vocabulary import Vocabulary
from tests.support.training.recall_cases import Case, recall_cases
from training.evaluation.metrics import recall_by_group


def test_recall_by_facet_counts_targets_with_the_value() -> None:
    """Items 2 and 3 are Cantonese, 3 and 4 English, 5 neither; no target is French."""
    cases = recall_cases([Case("a", [2, 3, 5], [], []), Case("a", [4], [], []), Case("b", [3], [], [])])
    language = Ragged(np.array([0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 3, 4, 4, 5]))
    empty = Ragged(np.zeros(0, dtype=np.int64), np.zeros(8, dtype=np.int64))
    facets = {"languages": (["Cantonese", "English", "French"], language), "styles": ([], empty)}
    found = recall_by_group.SubsetRecall(cases, recall_by_group.facet_subsets(cases, facets), 50).measure(
        np.array([[2, 5, 0], [3, 4, 6], [5, 2, 0]])
    )
    # Cantonese: 1 of 2 for a in one case, 0 for b. English: 0 and 1 of 1 for a, 0 for b.
    assert {name: interval[0] for name, interval in found.items()} == {
        "languages: Cantonese": 0.25,
        "languages: English": 0.25,
    }
    nothing = recall_by_group.facet_subsets(cases, {"styles": ([], empty)})
    assert recall_by_group.SubsetRecall(cases, nothing, 50).measure(np.array([[2], [3], [4]])) == {}


def data() -> Any:
    """Items 2 and 6 are by artist 2, 3 and 4 by artist 3, 5 by artist 4; item 6 is not in the catalog.

    In the train part, item 2 has 7 plays, 3 has 1, and the others have none; a play of item 4 is in the test part.
    """
    plays = SimpleNamespace(track_P=np.array([2] * 7 + [3, 4]), part_P=np.array([0] * 8 + [2]))
    catalog_V = np.array([False, False, True, True, True, True, False])
    names = np.arange(7).astype(str)
    vocabulary = Vocabulary(names, np.array([0, 1, 2, 3, 3, 4, 2]), names[:5], names, names[:5])
    return SimpleNamespace(vocabulary=vocabulary, plays=plays, catalog_V=catalog_V)


def test_tracks_are_grouped_by_their_plays_and_those_of_their_artist() -> None:
    subsets = {name: np.flatnonzero(is_in_V).tolist() for name, is_in_V in recall_by_group.play_subsets(data()).items()}
    assert subsets == {
        "track with 0 plays": [4, 5],
        "track with 1-5 plays": [3],
        "track with 6-20 plays": [2],
        "track with 21+ plays": [],
        "artist with 0 plays": [5],
        "artist with 1-5 plays": [3, 4],
        "artist with 6-20 plays": [2],
        "artist with 21+ plays": [],
    }


def test_recall_counts_the_targets_of_a_subset_within_k() -> None:
    cases = recall_cases([Case("a", [4, 2], [], []), Case("b", [5], [], []), Case("b", [2], [], [])])
    recall = recall_by_group.SubsetRecall(cases, recall_by_group.play_subsets(data()), 2)
    assert recall.count_targets() == {
        "track with 0 plays": 2,
        "track with 6-20 plays": 2,
        "artist with 0 plays": 1,
        "artist with 1-5 plays": 1,
        "artist with 6-20 plays": 2,
    }
    found = recall.measure(np.array([[4, 3, 2], [2, 5, 0], [3, 4, 2]]))
    assert {name: interval[0] for name, interval in found.items()} == {
        "track with 0 plays": 1.0,
        "track with 6-20 plays": 0.0,
        "artist with 0 plays": 1.0,
        "artist with 1-5 plays": 1.0,
        "artist with 6-20 plays": 0.0,
    }


def test_artist_popularity_ranks_the_tracks_of_the_most_played_artists() -> None:
    assert recall_by_group.rank_by_artist_popularity(data(), 3).tolist() == [2, 4, 3]
