"""Which requests of the past are learned from, and what should have been in their slates."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.support.training.tiny_world import START, write_marts
from training.data import past_requests as module
from training.data.past_requests import sample_past_requests
from training.data.training_data import TrainingData
from training.recipes import recipe

SESSIONS, LENGTH = 20, 6


@pytest.fixture
def sessions(tmp_path: Path) -> TrainingData:
    """Two users with a session a day, each of six tracks of its own, of which the fourth is skipped."""
    plays = [
        (
            user,
            f"t{(day * LENGTH + number) % 40}",
            START + timedelta(days=day, minutes=4 * number),
            5_000 if number == 3 else 180_000,
        )
        for user in ("a", "b")
        for day in range(SESSIONS)
        for number in range(LENGTH)
    ]
    return TrainingData(write_marts(tmp_path / "marts", plays), "held_out", recipe("debug"))


def test_a_slate_should_have_held_what_was_listened_to_from_the_request_on(
    sessions: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MID_SESSION_SHARE", 1.0)
    cases, plays = sample_past_requests(sessions, "train", 1_000, seed=3), sessions.plays
    places = set()
    for case in range(len(cases)):
        row = int(
            np.flatnonzero((plays.user_P == cases.user_C[case]) & (plays.play_number_P == cases.play_number_C[case]))[0]
        )
        place = row - int(plays.session_start_P[row])
        rest = [row + step for step in range(LENGTH - place) if place + step != 3]
        assert cases.items["targets"][case].tolist() == plays.track_P[rest].tolist()
        assert cases.request_at_C[case] == plays.request_at_P[row]
        places.add(place)
    assert places == set(range(LENGTH))


def test_a_repeat_is_what_was_played_before_the_request(
    sessions: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MID_SESSION_SHARE", 0.0)
    cases = sample_past_requests(sessions, "train", 1_000, seed=0)
    # Forty tracks, six a session: the first six sessions are all new, the eighth returns to the first tracks.
    assert [len(cases.items["repeat"][case]) for case in (0, 5, 8)] == [0, 0, LENGTH - 1]
    begins = np.unique(sessions.plays.session_start_P)
    assert np.isin(cases.play_number_C, sessions.plays.play_number_P[begins]).all()


def test_every_user_gives_the_newest_of_its_sessions(sessions: TrainingData) -> None:
    some, everything = (
        sample_past_requests(sessions, "train", 10, seed=0),
        sample_past_requests(sessions, "train", 1_000, seed=0),
    )
    assert np.bincount(some.user_C).tolist() == [5, 5]
    for user in (0, 1):
        newest = everything.request_at_C[everything.user_C == user][-5:]
        day = 86_400_000_000
        assert (some.request_at_C[some.user_C == user] // day).tolist() == (newest // day).tolist()


def test_the_same_seed_asks_for_the_same(sessions: TrainingData) -> None:
    one, again, other = (sample_past_requests(sessions, "train", 1_000, seed) for seed in (0, 0, 1))
    assert one.request_at_C.tolist() == again.request_at_C.tolist() != other.request_at_C.tolist()


def test_a_part_without_sessions_has_no_requests(sessions: TrainingData) -> None:
    everything = TrainingData(sessions.marts, "final", recipe("debug"))
    assert len(sample_past_requests(everything, "validation", 10, seed=0)) == 0
