"""Genre features compared with a direct loop over plays."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from recommender.ranking.features.genre_search import (
    EMOTIONS,
    GENRE_FEATURES,
    GENRE_TYPES,
    STYLES,
    WINDOWS,
    TrackGenres,
)
from tests.support.training.ranking_cases import (
    KINDS,
    SKIP,
    assert_equal_matches,
    ranking_features,
)
from tests.support.training.recall_cases import ragged

ITEMS = np.array([0, 1, 2, 7, 12, 35])


def expected(events: list[tuple[int, int, int]], item: int) -> list[float]:
    """Return, window by window and type by type, the share of plays and the share of listens among them."""
    columns: list[float] = []
    for _, genre_type in product(range(WINDOWS), range(GENRE_TYPES)):  # plays are three minutes apart: one session
        values = [value for value in KINDS.value_VK[item] if KINDS.genre_type_U[value] == genre_type]
        plays = [event for event in events for value in values if value in KINDS.value_VK[event[0]]]
        listens = sum(behavior != SKIP for _, behavior, _ in plays)
        columns += [len(plays) / max(len(events), 1), (listens + 0.7) / (len(plays) + 1)]
    return columns


@pytest.mark.parametrize("count", [0, 1, 8, 70])
def test_genre_features_equal_direct_counting(count: int) -> None:
    assert_equal_matches(ranking_features(kinds=True), count, ITEMS, GENRE_FEATURES, expected)


def test_genres_come_from_facets() -> None:
    facets = {
        "languages": (["en", "yue"], ragged([], [], [1], [0, 1], [])),
        "styles": (["pop", "rock"], ragged([], [], [0], [0], [1])),
        "emotions": (["calm"], ragged([], [], [0], [], [])),
    }
    genres = TrackGenres.build(facets)
    types = [sorted(genres.genre_type_U[[value for value in row if value]].tolist()) for row in genres.value_VK]
    assert types == [[], [], [STYLES, EMOTIONS], [STYLES] * 2, [STYLES]]
    (cantonese_pop,) = set(genres.value_VK[2]) & set(genres.value_VK[3]) - {0}
    assert genres.genre_type_U[cantonese_pop] == STYLES and genres.value_VK[4][0] not in genres.value_VK[[2, 3]]
