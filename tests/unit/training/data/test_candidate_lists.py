"""Histories of past requests, compared with histories of served ones."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from recommender.user.profile_exclusions import ProfileExclusions
from recommender.user.user_batch import UserBatch
from sequences.behaviors import load_behaviors
from sequences.reversals import drop_reversed
from sequences.sequence_batch import SequenceBatch
from tests.support.training.recall_cases import Case, recall_cases
from training.data.candidate_lists import load_case_history

AT = 10


def events(*rows: tuple[str, int]) -> SequenceBatch:
    """The events of one user: behavior and item."""
    code = load_behaviors().encoder
    columns = {"behavior": [[code[name] for name, _ in rows]], "track_id": [[item for _, item in rows]]}
    return SequenceBatch({name: np.array(values) for name, values in columns.items()}, np.array([len(rows)]))


def test_a_track_of_a_like_that_was_taken_back_is_no_history() -> None:
    views = {
        "played_history": events(("play", 3)),
        "recent_events": events(("play", 3), ("like", 5), ("unlike", 5), ("unlike", 6), ("like", 7)),
    }
    data = SimpleNamespace(
        reader=lambda view: SimpleNamespace(read=lambda users, times: views[view]),
        profile_exclusions=ProfileExclusions({}),
    )
    history = load_case_history(data, recall_cases([Case("u", [2], [], [], request_at=AT)]), {})
    served = UserBatch(["u"], np.array([AT]), {view: drop_reversed(batch) for view, batch in views.items()})
    assert history[0].tolist() == served.history_items[0].tolist() == [3, 7]
