"""Further searches compared with direct counting, one candidate at a time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product, takewhile

import numpy as np
import pytest

from recommender.ranking.features import history_searches
from recommender.ranking.features.history_match import MATCH_FEATURES, MISSING_DISTANCE
from tests.support.training.ranking_cases import (
    ARTIST_OF_TRACK,
    LISTEN,
    MINUTE,
    NOW,
    SKIP,
    TRACKS,
    history,
    ranking_features,
    user_batch,
)

Events = list[tuple[int, int, int]]
ROWS: list[Events] = [
    history(60, 1),
    [],
    [(5, SKIP, NOW - MINUTE)],
    [(5 + n % 3, LISTEN if n % 4 else SKIP, NOW - (900 - 40 * n) * MINUTE) for n in range(22)],
    [(1, LISTEN, NOW - 3 * MINUTE), (10_000, SKIP, NOW - 2 * MINUTE), (7, LISTEN, NOW - MINUTE)],
]
ITEMS = [5, 6, 7, 15, 30, 39, 1]


def found(length: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns that the searches add: user features [B, ·] and candidate features [B, C, ·]."""
    features = ranking_features(searches=True)
    side = features.prepare_users(user_batch(ROWS, length=length))
    candidates = features.prepare_candidates(side, np.tile(ITEMS, (len(ROWS), 1)))
    before = features.reads.user_feature_count
    return side.inputs.context_BU[:, before:], candidates.matches_BCM[..., MATCH_FEATURES:]


def known_tracks(events: Events) -> list[int]:
    """Return the tracks, -1 for an unknown one."""
    return [track if 1 < track < TRACKS else -1 for track, _, _ in events]


def artists(tracks: list[int]) -> list[int]:
    """Return the artists of tracks, -1 for an unknown track."""
    return [int(ARTIST_OF_TRACK[track]) if track > 1 else -1 for track in tracks]


def facets(events: Events, item: int) -> list[tuple[list[int], int, list[int]]]:
    """Return, for track and artist, the plays' values, the candidate's value, and the positions where it occurs."""
    tracks = known_tracks(events)
    wanted = item if item > 1 else -2
    of_artists = artists(tracks), artists([wanted])[0] if wanted > 1 else -2
    return [
        (values, one, [place for place, value in enumerate(values) if value == one])
        for values, one in ((tracks, wanted), of_artists)
    ]


def share(listens: float, plays: float) -> float:
    """Return the share of listens, shrunk to 0.7 where there are few plays."""
    return (listens + 0.7) / (plays + 1)


def is_listen(events: Events, place: int) -> bool:
    """Return whether a play was listened to."""
    return events[place][1] == LISTEN


def recency_by_hand(events: Events, item: int) -> list[float]:
    columns: list[float] = []
    for _, _, places in facets(events, item):
        newest_first = [is_listen(events, place) for place in reversed(places)]
        ago = [len(events) - 1 - place for place in reversed(places)]
        columns += [share(sum(newest_first[:k]), len(newest_first[:k])) for k in history_searches.OWN_WINDOWS]
        ratios = [1.0 if listened else 0.1 for listened in newest_first[: history_searches.RATIO_WINDOW]]
        columns.append(sum(ratios) / len(ratios) if ratios else -1)
        for k in history_searches.RECENT_WINDOWS:
            inside = [listened for listened, one in zip(newest_first, ago, strict=True) if one < k]
            columns += [np.log2(1 + len(inside)), share(sum(inside), len(inside))]
        for wanted in ((True, False), (True,), (False,)):
            when = [one for listened, one in zip(newest_first, ago, strict=True) if listened in wanted]
            columns.append(np.log2(1 + when[0]) if when else MISSING_DISTANCE)
        run = [*takewhile(lambda one, newest_first=newest_first: one == newest_first[0], newest_first)]
        columns.append(np.log2(1 + len(run)) * (1 if newest_first and newest_first[0] else -1))
    return columns


def time_decay_by_hand(events: Events, item: int) -> list[float]:
    columns: list[float] = []
    for _, _, places in facets(events, item):
        day = 24 * 60 * MINUTE
        age = {place: NOW - events[place][2] for place in places}
        weights = [
            {p: 0.5 ** ((len(events) - 1 - p) / half) for p in places} for half in history_searches.PLAY_HALF_LIVES
        ]
        weights += [{p: 0.5 ** (age[p] / (half * day)) for p in places} for half in history_searches.DAY_HALF_LIVES]
        near = history_searches.HOUR_WINDOW * 60 * MINUTE
        weights.append({p: float(age[p] % day <= near or day - age[p] % day <= near) for p in places})
        for weight in weights:
            plays, listens = sum(weight.values()), sum(weight[p] for p in places if is_listen(events, p))
            columns += [np.log2(1 + plays), share(listens, plays)]
    return columns


def context_of(events: Events, place: int, item: int) -> tuple[tuple[int, bool], tuple[bool, int, int]]:
    """Return the familiarity of a track before a play, and the context of the play."""
    tracks = known_tracks(events)
    before = [p for p in range(place) if item > 1 and tracks[p] == item]
    often = sum(len(before) >= bound for bound in (1, *history_searches.PLAY_COUNT_BOUNDS))
    artist, previous = (artists([one])[0] for one in (item, tracks[place - 1] if place else -1))
    outcome = [1 if is_listen(events, place - k) else -1 for k in (1, 2) if place >= k]
    one, two = [*outcome, 0, 0][:2]
    return (often, bool(before) and is_listen(events, before[-1])), (artist == previous and artist > 0, one, two)


def context_by_hand(events: Events, item: int) -> list[float]:
    tracks, columns = known_tracks(events), []
    contexts = [context_of(events, place, tracks[place]) for place in range(len(events))]
    mine = context_of(events, len(events), item)
    for half_life in history_searches.CONTEXT_HALF_LIVES:
        for same in (lambda one: one[0] == mine[0], lambda one: one == mine):
            weight = {
                place: 0.5 ** ((len(events) - 1 - place) / half_life) for place, one in enumerate(contexts) if same(one)
            }
            plays, listens = sum(weight.values()), sum(w for place, w in weight.items() if is_listen(events, place))
            columns += [np.log2(1 + plays), share(listens, plays)]
    return columns


@pytest.mark.parametrize(
    ("columns", "by_hand"),
    [(slice(0, 26), recency_by_hand), (slice(26, 54), time_decay_by_hand), (slice(54, 62), context_by_hand)],
)
def test_candidate_features_equal_direct_counting(
    columns: slice, by_hand: Callable[[Events, int], list[float]]
) -> None:
    numbers = found()[1][..., columns]
    for (b, events), (c, item) in product(enumerate(ROWS), enumerate(ITEMS)):
        np.testing.assert_allclose(numbers[b, c], by_hand(events, item), rtol=1e-4, atol=1e-5, err_msg=f"{b} {item}")
    assert numbers.std((0, 1)).min() > 1e-3  # every column varies


def test_user_shares_are_time_decayed() -> None:
    shares = found()[0][:, 1 : 1 + len(history_searches.USER_HALF_LIVES)]
    for events, row in zip(ROWS, shares, strict=True):
        for half_life, value in zip(history_searches.USER_HALF_LIVES, row, strict=True):
            weight = [0.5 ** ((len(events) - 1 - place) / half_life) for place in range(len(events))]
            listens = sum(w for place, w in enumerate(weight) if is_listen(events, place))
            assert value == pytest.approx(share(listens, sum(weight)), rel=1e-4)
