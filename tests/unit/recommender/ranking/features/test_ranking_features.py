"""Dense features compared with direct counting, one candidate at a time."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl

from recommender.ranking.features.history_match import MATCH_FEATURES, MISSING_DISTANCE, NEVER_US, PLAY_MATCH_FEATURES
from recommender.ranking.features.track_statistics import CANDIDATE_FEATURES, COUNTS, TrackStatistics
from recommender.ranking.features.user_features import (
    LAGS,
    USER_FEATURES,
    compute_user_features,
    long_history_listen_rates,
)
from sequences.sequence_batch import SequenceBatch
from sequences.sequence_views import DAY_US
from tests.support.training.ranking_cases import (
    ARTIST_OF_TRACK,
    LISTEN,
    MINUTE,
    NOW,
    OUTCOME_V,
    SKIP,
    history,
    ranking_features,
    user_batch,
)

NEVER = np.log2(1 + NEVER_US / MINUTE)


def by_hand(events: list[tuple[int, int, int]], track: int) -> list[float]:
    """Return the columns of one candidate by looping over the plays."""
    columns: list[float] = []
    session = events
    for before, after in zip(events, [*events[1:], (0, 0, NOW)], strict=False):
        if after[2] - before[2] > 30 * MINUTE:
            session = events[events.index(before) + 1 :]
    for same in (lambda a, b: a == b, lambda a, b: ARTIST_OF_TRACK[a] == ARTIST_OF_TRACK[b]):
        found = [place for place, event in enumerate(events) if same(event[0], track)]
        newest = [place for place, event in enumerate(events[:-1]) if same(event[0], events[-1][0])]
        after = [place for place in found if place - 1 in newest]
        outcomes = [1.0 if events[place][1] == LISTEN else -1.0 for place in reversed(found)]
        ages = [np.log2(1 + (NOW - events[place][2]) / MINUTE) for place in reversed(found)]
        ratios = [1.0 if outcome > 0 else 0.1 for outcome in outcomes]
        now = [place for place in found if events[place] in session]
        stride = found[-1] - newest[-1] if found and newest else None
        columns += [
            np.log2(1 + len(found)),
            share(events, found),
            np.log2(1 + sum(place >= len(events) - 50 for place in found)),
            float(bool(found) and found[-1] == len(events) - 1),
            *[*outcomes, 0, 0, 0][:3],
            *[*ages, NEVER, NEVER][:2],
            *[*ratios, -1, -1][:2],
            np.log2(1 + len(now)),
            share(events, now),
            np.log2(1 + len(after)),
            share(events, after),
            MISSING_DISTANCE if stride is None else np.sign(stride) * np.log2(1 + abs(stride)),
            float(bool(newest) and newest[-1] + 1 in found),
        ]
    return columns


def share(events: list[tuple[int, int, int]], places: list[int]) -> float:
    """Return the smoothed share of listens."""
    return (sum(events[place][1] == LISTEN for place in places) + 0.7) / (len(places) + 1)


def test_play_matches_equal_direct_counting() -> None:
    broken = [(track, outcome, end - 50 * MINUTE * (n < 20)) for n, (track, outcome, end) in enumerate(history(30, 1))]
    long = [(2 + n % 9, SKIP if n % 4 == 0 else LISTEN, NOW - (90 - n) * MINUTE) for n in range(80)]
    old = [(2, LISTEN, NOW - 40 * MINUTE)]
    features, rows = ranking_features(), [broken, history(5, 2), long, old, []]
    items = np.array([[2, 3, 12, 7, broken[-1][0], broken[4][0]]] * len(rows))
    candidates = features.prepare_candidates(features.prepare_users(user_batch(rows, length=100)), items)
    found = candidates.matches_BCM
    assert found.shape == (5, 6, MATCH_FEATURES) and candidates.features_BCF.shape == (5, 6, CANDIDATE_FEATURES)
    for (b, events), (c, track) in product(enumerate(rows), enumerate(items[0].tolist())):
        np.testing.assert_allclose(found[b, c, : 2 * PLAY_MATCH_FEATURES], by_hand(events, track), rtol=1e-5)


def test_negative_histories_are_counted_separately() -> None:
    rows = [[(5, LISTEN, NOW - 9 * MINUTE), (5, SKIP, NOW - 7 * MINUTE), (5, SKIP, NOW - 3 * MINUTE)]]
    features = ranking_features()
    found = features.prepare_candidates(features.prepare_users(user_batch(rows)), np.array([[5, 15, 6]]))
    same_track, same_artist, neither = found.matches_BCM[0, :, 2 * PLAY_MATCH_FEATURES :]
    np.testing.assert_allclose(same_track, [np.log2(3), 2, np.log2(3), 2], rtol=1e-5)
    np.testing.assert_allclose(same_artist, [0, NEVER, np.log2(3), 2], rtol=1e-5)
    np.testing.assert_allclose(neither, [0, NEVER] * 2, rtol=1e-5)


def test_statistics_are_those_known_before_the_request() -> None:
    day = NOW // DAY_US
    rows = pl.DataFrame({"known_at": [day - 5, day - 2, day, day + 1, day - 1]}).with_columns(
        pl.from_epoch(pl.col("known_at") * DAY_US, "us"),
        *(pl.Series(name, [1.0, 2.0, 3.0, 4.0, 9.0]) for name in COUNTS),
    )
    statistics = TrackStatistics.build(rows, np.array([7, 7, 7, 7, 1]))
    items = np.array([[7, 8, 6, 1]])
    for time, count, age in (
        (NOW, 3, (NOW - day * DAY_US) / DAY_US),
        (day * DAY_US, 2, 2),
        ((day - 2) * DAY_US + 1, 2, 1 / DAY_US),
        ((day - 5) * DAY_US, 0, -1),
    ):
        counts, ages = statistics.lookup_before(items, np.array([time]))
        assert counts[0, :, 0].tolist() == [count, 0, 0, 0], time
        np.testing.assert_allclose(ages[0], [age, -1, -1, -1], atol=1e-6)
    counts, _ = statistics.newest_per_track().lookup_before(items, np.array([NOW + 3 * DAY_US]))
    assert counts[0, 0, 0] == 4 and len(statistics.newest_per_track().key_R) == 1


def test_user_features_list_outcomes_newest_first() -> None:
    rows = [[(5, LISTEN, NOW - 90 * MINUTE), (5, LISTEN, NOW - 5 * MINUTE), (6, SKIP, NOW - MINUTE)], []]
    batch = user_batch(rows)
    view = batch.views["recent_events"]
    found = compute_user_features(
        OUTCOME_V, view, view.mask_BL, batch.request_at_B, {"user_profile__plays_total": np.array([7, 0])}
    )
    assert found.shape == (2, USER_FEATURES)
    assert found[0, :4].tolist() == [-1, 1, 1, 0]
    np.testing.assert_allclose(found[0, LAGS : LAGS + 4], [0.1, 1, 1, 0])
    np.testing.assert_allclose(found[0, 2 * LAGS : 2 * LAGS + 5], [2 / 3] * 5)
    np.testing.assert_allclose(found[0, 2 * LAGS + 5 : 2 * LAGS + 8], np.log2(1 + np.array([60, 300, 5400])), rtol=1e-6)
    np.testing.assert_allclose(found[0, 2 * LAGS + 11 : 2 * LAGS + 15], [np.log2(3), 0.5, 2, 3], rtol=1e-6)
    assert np.isfinite(found[1]).all() and found[1, : 2 * LAGS].tolist() == [0] * 2 * LAGS


def test_long_windows_are_shares_of_listens_among_the_last_plays() -> None:
    outcomes = np.zeros((3, 2100), np.float32)
    outcomes[0, :2100] = np.where(np.arange(2100) < 1900, 1, -1)
    outcomes[1, :3] = [1, -1, 0]
    np.testing.assert_allclose(
        long_history_listen_rates(outcomes, np.array([2100, 3, 0])), [[0, 0, 0.6, 0.9], [0.5] * 4, [0] * 4], rtol=1e-6
    )


def test_a_session_of_user_features_is_that_of_the_sequences() -> None:
    """A long track does not end a session; a pause of more than 30 minutes before it does."""
    start = NOW - np.array([[140, 43, 39, 35], [140, 100, 60, 35]]) * MINUTE
    end = NOW - np.array([[136, 39, 35, 1], [136, 96, 36, 1]]) * MINUTE
    columns = {"occurred_at": start, "ended_at": end, "played_ratio": np.ones(start.shape)}
    view = SequenceBatch(columns | {"behavior": np.full(start.shape, LISTEN)}, np.array([4, 4]))
    np.testing.assert_allclose(
        compute_user_features(OUTCOME_V, view, view.mask_BL, np.array([NOW, NOW]), {})[:, 2 * LAGS + 11],
        np.log2(1 + np.array([3, 2])),
    )
