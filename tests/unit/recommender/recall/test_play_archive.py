"""Plays of a full history view, completed by older ones of the archive."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recommender.recall.play_archive import LISTENED, PlayArchive
from recommender.user.exclusions import FOREVER, LeftOut
from recommender.user.user_batch import HISTORY_VIEW, UserBatch
from sequences.sequence_batch import SequenceBatch
from sequences.sequence_views import SEQUENCE_VIEWS
from tests.support.sequences.batches import batch_of

MINUTE_US = 60_000_000
ENDED_AT = np.array([1, 2, 2, 2, 2, 3]) * MINUTE_US
KNOWN_AT = ENDED_AT + np.array([0, 0, 2, 4, 6, 0])  # of equal times 2 µs apart, as in the marts
TRACKS = np.arange(2, 8)


def view_of(track: np.ndarray, began_at: np.ndarray, ended_at: np.ndarray) -> SequenceBatch:
    return batch_of(
        "behavior track_id occurred_at ended_at",
        list(zip(["play"] * len(track), track, began_at, ended_at, strict=True)),
    )


def archive_of(known_at: np.ndarray, sessions: list[int]) -> PlayArchive:
    """The first tracks, listened to."""
    count = len(known_at)
    played, outcome = TRACKS[:count].astype(np.int32), np.full(count, LISTENED, dtype=np.int8)
    return PlayArchive(("u",), np.array([0, count]), played, known_at, outcome, np.array(sessions, dtype=np.int32))


def user_with_newest(count: int) -> UserBatch:
    """A user whose view has the newest plays."""
    return UserBatch(
        ["u"], np.array([4 * MINUTE_US]), {HISTORY_VIEW: view_of(TRACKS[-count:], ENDED_AT[-count:], ENDED_AT[-count:])}
    )


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("archived", [6, 4, 1])
def test_no_play_is_lost_or_doubled_between_view_and_archive(
    monkeypatch: pytest.MonkeyPatch, length: int, archived: int
) -> None:
    monkeypatch.setitem(SEQUENCE_VIEWS, HISTORY_VIEW, replace(SEQUENCE_VIEWS[HISTORY_VIEW], length=length))
    (plays,) = archive_of(KNOWN_AT[:archived], [0] * archived).past_plays(user_with_newest(length), 100)
    assert plays.track_N[-length:].tolist() == TRACKS[-length:].tolist()
    assert len(set(plays.track_N.tolist())) == len(plays.track_N)
    assert (np.diff(plays.ended_at_N) >= 0).all() and not plays.session_N.any()
    if archived == len(TRACKS):
        assert plays.track_N.tolist() == TRACKS.tolist()


@pytest.mark.parametrize(("idle", "sessions"), [(30, [-1, 0, 0, 0]), (31, [-1, 0, 1, 1])])
def test_archived_plays_keep_their_sessions_and_the_view_continues_the_last_one(
    monkeypatch: pytest.MonkeyPatch, idle: int, sessions: list[int]
) -> None:
    monkeypatch.setitem(SEQUENCE_VIEWS, HISTORY_VIEW, replace(SEQUENCE_VIEWS[HISTORY_VIEW], length=2))
    known_at = np.array([10, 50]) * MINUTE_US  # ends of long plays of two sessions
    began_at = (50 + idle + np.array([0, 40])) * MINUTE_US
    ended_at = began_at + 40 * MINUTE_US
    users = UserBatch(["u"], ended_at[-1:] + MINUTE_US, {HISTORY_VIEW: view_of(TRACKS[:2], began_at, ended_at)})
    (plays,) = archive_of(known_at, [7, 8]).past_plays(users, 100)
    assert plays.session_N.tolist() == sessions


def test_older_plays_complete_a_view_that_was_full_before_plays_were_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SEQUENCE_VIEWS, HISTORY_VIEW, replace(SEQUENCE_VIEWS[HISTORY_VIEW], length=2))
    users, _ = user_with_newest(2).leave_out([LeftOut(TRACKS[-1:], np.array([FOREVER]))])
    (plays,) = archive_of(KNOWN_AT[:-1], [0] * 5).past_plays(users.take([0]), 100)
    assert plays.track_N.tolist() == TRACKS[:-1].tolist()
