"""Repeat-consumption features, compared with counts by hand."""

import math

import numpy as np
import pytest

from sequences import behaviours
from sequences.sequence_batch import SequenceBatch
from training.recall.repeat_consumption import (
    COOCCURRENCE_KERNEL,
    DECAYS,
    FEATURE_NAMES,
    LOG_SMOOTHING,
    RECENT_LISTENS,
    SKIP_WEIGHT,
    repeat_consumption_features,
)

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
NOW = 1_700_000_000_000_000 // DAY_US * DAY_US + 12 * HOUR_US
CODE = behaviours.load_behaviours().encoder
ARTISTS = np.array([0, 1, 5, 5, 6, 7, 8, 9, 10, 11, 12])


def times(ended_BL: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of plays of three minutes."""
    return {"occurred_at": ended_BL - 180_000_000, "ended_at": ended_BL}


def history(*plays: tuple[int, int], skipped: tuple[int, ...] = ()) -> SequenceBatch:
    """One user's plays (track, age in µs), oldest first, with padding at the end; `skipped`: positions of skips."""
    columns = {
        "track_id": np.array([[*(track for track, _ in plays), 0]]),
        **times(np.array([[*(NOW - ago for _, ago in plays), 0]])),
        "behaviour": np.array([[*(CODE["skip" if n in skipped else "full_play"] for n in range(len(plays))), 0]]),
    }
    return SequenceBatch(columns, np.array([len(plays)]))


def numbers(listens: SequenceBatch, track: int, most: int = 99) -> dict[str, float]:
    memory = repeat_consumption_features(listens, np.array([NOW]), ARTISTS, most)
    place = memory.item_BM[0].tolist().index(track)
    return dict(zip(FEATURE_NAMES, memory.feature_BMF[0, place].tolist(), strict=True))


def test_activation_is_the_sum_over_listens_of_age_to_the_decay() -> None:
    found = numbers(history((2, 5 * DAY_US), (3, 2 * DAY_US), (2, HOUR_US), (2, 10)), 2)
    ages = [5 * 86_400, 3_600, 60]  # the last one is younger than a minute
    for decay in DECAYS:
        assert found[f"activation_{decay}"] == pytest.approx(math.log(sum(age**-decay for age in ages)), rel=1e-5)
    assert found["listens"] == pytest.approx(math.log(4))
    assert found["last_age"] == pytest.approx(math.log(60))
    assert found["first_age"] == pytest.approx(math.log(5 * 86_400))
    assert found["listens_1d"] == pytest.approx(math.log(3))
    assert found["listens_7d"] == pytest.approx(math.log(4))


def test_sessions_days_and_positions_are_counted() -> None:
    listens = history((2, 3 * DAY_US), (2, 3 * DAY_US - HOUR_US // 4), (3, 2 * DAY_US), (2, DAY_US), (4, HOUR_US))
    found = numbers(listens, 2)
    assert found["sessions"] == pytest.approx(math.log(3), rel=1e-5)
    assert found["days"] == pytest.approx(math.log(3), rel=1e-5)
    assert found["sessions_ago"] == pytest.approx(math.log(2), rel=1e-5)
    assert found["last_place"] == pytest.approx(math.log(3), rel=1e-5)
    assert found["distinct_share"] == pytest.approx(3 / 5)
    assert found["history_length"] == pytest.approx(math.log(6), rel=1e-5)


def test_cooccurrence_with_newest_listens_is_summed_by_distance() -> None:
    tracks = np.random.default_rng(1).integers(2, 9, 60).tolist()
    listens = history(*((track, (60 - n) * 200_000_000) for n, track in enumerate(tracks)))
    newest = tracks[::-1][:RECENT_LISTENS]
    for track in range(2, 9):
        after = before = 0.0
        for place, played in enumerate(tracks[:-RECENT_LISTENS]):
            similarity = sum(1 / (1 + 0.1 * k) for k, recent in enumerate(newest) if recent == played)
            for distance, weight in enumerate(COOCCURRENCE_KERNEL, start=1):
                if place + distance < 60 and tracks[place + distance] == track:
                    after += similarity * weight
                if place - distance >= 0 and tracks[place - distance] == track:
                    before += similarity * weight
        found = numbers(listens, track)
        assert found["comes_next"] == pytest.approx(math.log(after + LOG_SMOOTHING), rel=1e-5)
        assert found["came_before"] == pytest.approx(math.log(before + LOG_SMOOTHING), rel=1e-5)


def test_similar_sessions_have_cosine_similarity() -> None:
    listens = history((2, 5 * DAY_US), (3, 5 * DAY_US - 1), (4, 3 * DAY_US), (2, 1_000))
    alike, other = numbers(listens, 3), numbers(listens, 4)
    assert alike["with_this_session"] == pytest.approx(math.log(1 / math.sqrt(2 * 1) + LOG_SMOOTHING), rel=1e-5)
    assert other["with_this_session"] == pytest.approx(math.log(LOG_SMOOTHING), rel=1e-5)


def test_skips_count_a_fraction_and_have_features() -> None:
    plays = history((2, 4 * DAY_US), (3, 3 * DAY_US), (2, 2 * DAY_US), (4, DAY_US), skipped=(1, 2))
    found, only_skipped, never_skipped = (numbers(plays, track) for track in (2, 3, 4))
    mixed = (4 * 86_400) ** -0.5 + SKIP_WEIGHT * (2 * 86_400) ** -0.5
    assert found["activation_0.5"] == pytest.approx(math.log(mixed), rel=1e-5)
    assert only_skipped["activation_0.5"] == pytest.approx(math.log(SKIP_WEIGHT * (3 * 86_400) ** -0.5), rel=1e-5)
    assert [one["listens"] for one in (found, only_skipped)] == pytest.approx([math.log(2), 0])
    assert [one["skips"] for one in (found, never_skipped)] == pytest.approx([math.log(2), 0])
    assert [found["last_outcome"], found["outcome_before"]] == [-1, 1]
    assert [only_skipped["last_outcome"], only_skipped["outcome_before"]] == [-1, 0]
    assert (only_skipped["sessions"], only_skipped["days"], only_skipped["share_at_hour"]) == (0, 0, 0)


def test_artist_features_sum_over_tracks() -> None:
    listens = history((2, 4 * DAY_US), (3, 3 * DAY_US), (4, 2 * DAY_US))
    assert ARTISTS[2] == ARTISTS[3]
    both = math.log((4 * 86_400) ** -0.5 + (3 * 86_400) ** -0.5)
    for track in (2, 3):
        assert numbers(listens, track)["artist_activation_0.5"] == pytest.approx(both, rel=1e-5)
    assert numbers(listens, 4)["artist_listens"] == pytest.approx(math.log(2))


def test_items_are_sorted_by_activation_truncated_and_padded() -> None:
    columns = {
        "track_id": np.array([[2, 3, 3, 1], [0, 0, 0, 0]]),
        **times(NOW - np.array([[9, 8, 7, 6], [0, 0, 0, 0]]) * HOUR_US),
        "behaviour": np.full((2, 4), CODE["play"]),
    }
    memory = repeat_consumption_features(SequenceBatch(columns, np.array([4, 0])), np.array([NOW, NOW]), ARTISTS, 5)
    assert memory.item_BM.tolist() == [[3, 2], [0, 0]]
    assert not memory.feature_BMF[1].any()
    assert repeat_consumption_features(
        SequenceBatch(columns, np.array([4, 0])), np.array([NOW, NOW]), ARTISTS, 1
    ).item_BM.tolist() == [
        [3],
        [0],
    ]
