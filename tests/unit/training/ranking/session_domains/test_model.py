"""Behaviors of each group, and the events of a sequence that belong to it."""

from __future__ import annotations

import numpy as np
import torch

from event_store.behaviours import CONTROL, REVERSAL
from sequences import behaviours
from tests.support.training.ranking_cases import TRACKS, history, new_ranker, user_batch
from training.ranking.inputs import EventInputs
from training.ranking.session_domains.model import BehaviourGroup, list_behaviour_groups, select_group_events


def events(behaviour_BL: list[list[int]]) -> EventInputs:
    """Return events with behaviors only."""
    codes = torch.tensor(behaviour_BL)
    return EventInputs(codes, codes, codes, codes, codes, codes)


def test_every_behaviour_that_is_feedback_is_in_exactly_one_group() -> None:
    table = behaviours.load_behaviours()
    found = [code for group in list_behaviour_groups(50) for code in group.codes]
    expected = [table.encoder[row.behaviour] for row in table.rows if row.polarity not in (REVERSAL, CONTROL)]
    assert sorted(found) == sorted(expected)


def test_members_are_the_newest_events_of_the_group() -> None:
    group = BehaviourGroup("some", (3, 5), length=2, is_negative=False, sequence="plays")
    index_BN, mask_BN = select_group_events(events([[3, 4, 5, 3, 0], [4, 3, 0, 0, 0], [4, 4, 4, 0, 0]]), group)
    chosen = [sorted(index[mask].tolist()) for index, mask in zip(index_BN, mask_BN, strict=True)]
    assert chosen == [[2, 3], [1], []]


def test_program_equals_the_network() -> None:
    ranker, users = new_ranker("session_domains"), user_batch([history(count, count) for count in (0, 1, 8)])
    side, items_BC = ranker.features.prepare_users(users), np.tile(np.arange(2, TRACKS), (3, 1))
    candidates = ranker.features.prepare_candidates(side, items_BC)
    with torch.no_grad():
        expected_BCT = ranker.model(ranker.model.encode_user(side.inputs), candidates)
        for row, expected_CT in enumerate(expected_BCT):
            found_CT = ranker.program.logits(ranker.program.encode_user(side.inputs, row), candidates, row)
            np.testing.assert_allclose(found_CT, expected_CT.numpy(), atol=1e-5)
