"""Requests of single users as one batch, and what is cached for the batch as results of its requests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from sequences.sequence_batch import SequenceBatch
from sequences.views import SEQUENCE_VIEWS
from training.data.user_batch import UserBatch
from training.data.user_history import HISTORY_VIEW, full_history_begin

FULL = SEQUENCE_VIEWS[HISTORY_VIEW].length


def user(number: int, events: int, length: int, scene_B: list[str] | None = None) -> UserBatch:
    """A user with some events in a view of this length."""
    column_1L = np.zeros((1, length), dtype=np.int64)
    column_1L[0, :events] = np.arange(2, 2 + events) + number
    view = SequenceBatch({"track_id": column_1L, "ended_at": column_1L * 10}, np.array([events]))
    profile = {"user_profile__plays_total": np.array([number], dtype=np.float32)}
    scenes = ["daily"] if scene_B is None else scene_B
    return UserBatch([f"u{number}"], np.array([100 + number]), {HISTORY_VIEW: view}, scenes, profile)


def test_every_row_is_the_request_that_it_was() -> None:
    parts = [user(1, 3, 3), user(2, 0, 5, scene_B=[]), user(3, 2, 4).take([0, 0])]
    batch = UserBatch.concatenate(parts)
    assert batch.user_ids == ["u1", "u2", "u3", "u3"] and batch.request_at_B.tolist() == [101, 102, 103, 103]
    assert batch.scene_B == ["daily", "", "daily", "daily"]
    assert batch.views[HISTORY_VIEW].columns["track_id"].tolist() == [
        [3, 4, 5, 0, 0],
        [0, 0, 0, 0, 0],
        [5, 6, 0, 0, 0],
        [5, 6, 0, 0, 0],
    ]
    assert batch.views[HISTORY_VIEW].length_B.tolist() == [3, 0, 2, 2]
    assert batch.profile["user_profile__plays_total"].tolist() == [1, 2, 3, 3]
    assert [batch.history_items[row].tolist() for row in range(4)] == [[3, 4, 5], [], [5, 6], [5, 6]]
    assert not len(batch.left_out_begin_B)


def test_users_who_left_out_nothing_have_the_begin_of_their_own_history() -> None:
    whole, (short, _) = user(1, FULL, FULL), user(2, 2, FULL).leave_out([[]])
    some = UserBatch(
        short.user_ids,
        short.request_at_B,
        short.views,
        short.scene_B,
        short.profile,
        left_out_begin_B=np.array([7], dtype=np.int64),
    )
    begin = int(full_history_begin(whole.views)[0])
    assert begin > 0
    assert UserBatch.concatenate([whole, some]).left_out_begin_B.tolist() == [begin, 7]
    assert UserBatch.concatenate([some, user(3, 1, FULL)]).left_out_begin_B.tolist() == [7, 0]


@dataclass(frozen=True)
class Doubled:
    """A result with a row per request."""

    value_B: np.ndarray

    def take_rows(self, rows: np.ndarray) -> Doubled:
        return Doubled(self.value_B[rows])


def test_requests_share_the_results_that_are_cached_for_their_batch() -> None:
    parts = [user(1, 1, 1), user(2, 1, 1).take([0, 0]), user(3, 1, 1)]
    parts[2].get_or_compute("doubled", lambda: Doubled(np.array([-1])))
    batch = UserBatch.concatenate(parts)
    batch.get_or_compute("doubled", lambda: Doubled(batch.request_at_B * 2))
    batch.get_or_compute("largest", lambda: int(batch.request_at_B.max()))
    batch.get_or_compute("array", lambda: batch.request_at_B)
    batch.share_cache(parts)
    found = [part.get_or_compute("doubled", lambda: pytest.fail("not shared")).value_B.tolist() for part in parts]
    assert found == [[202], [204, 204], [-1]]
    for name in ("largest", "array"):  # without a row per request, or of unknown meaning
        assert parts[0].get_or_compute(name, lambda: "computed") == "computed"
