from __future__ import annotations

import numpy as np
import pytest

from sequences.batch import SequenceBatch
from tests.support.training.recall_cases import ragged
from training.data.user_history import concatenate_ragged, unique_history_items


def _view(*rows: list[int]) -> SequenceBatch:
    width = max(len(row) for row in rows)
    tracks = np.array([row + [0] * (width - len(row)) for row in rows], dtype=np.int64)
    return SequenceBatch({"track_id": tracks}, np.array([len(row) for row in rows]))


def test_what_either_view_shows_was_heard_once_and_unknown_tracks_were_not() -> None:
    found = unique_history_items(
        {"played_history": _view([7, 3, 7, 1], [], [5]), "recent_events": _view([9, 3], [4, 1], [])}
    )
    assert [found[row].tolist() for row in range(3)] == [[3, 7, 9], [4], [5]]


def test_other_views_say_nothing_and_one_may_be_missing() -> None:
    found = unique_history_items({"recent_events": _view([9]), "exclusions": _view([4])})
    assert found[0].tolist() == [9]
    with pytest.raises(KeyError, match="played_history, recent_events"):
        unique_history_items({"exclusions": _view([4])})


def test_parts_are_joined_in_order() -> None:
    whole = concatenate_ragged([ragged([2, 3], []), ragged([], [9])])
    assert [whole[row].tolist() for row in range(4)] == [[2, 3], [], [], [9]]
    assert len(concatenate_ragged([]).count_C) == 0
