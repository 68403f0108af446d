"""Histories of past requests, compared with histories of served ones."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from recommender.user.exclusions import ProfileExclusions
from recommender.user.user_batch import UserBatch
from sequences.sequence_batch import drop_reversed
from tests.support.sequences.batches import batch_of
from tests.support.training.recall_cases import Case, recall_cases
from training.data.candidate_lists import load_case_history

AT = 10


def test_a_track_of_a_like_that_was_taken_back_is_no_history() -> None:
    views = {
        "played_history": batch_of("behavior track_id", [("play", 3)]),
        "recent_events": batch_of(
            "behavior track_id", [("play", 3), ("like", 5), ("unlike", 5), ("unlike", 6), ("like", 7)]
        ),
    }
    data = SimpleNamespace(
        reader=lambda view: SimpleNamespace(read=lambda users, times: views[view]),
        profile_exclusions=ProfileExclusions({}),
    )
    history = load_case_history(data, recall_cases([Case("u", [2], [], [], request_at=AT)]))
    served = UserBatch(["u"], np.array([AT]), {view: drop_reversed(batch) for view, batch in views.items()})
    assert history[0].tolist() == served.history_items[0].tolist() == [3, 7]
