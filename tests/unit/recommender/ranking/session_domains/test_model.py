"""Behaviors of each group, and the events of a sequence that belong to it."""

from __future__ import annotations

import torch

from event_store.behaviors import CONTROL, REVERSAL
from recommender.ranking.inputs import EventInputs
from recommender.ranking.session_domains.groups import BehaviorGroup, list_behavior_groups
from recommender.ranking.session_domains.model import select_group_events
from sequences import behaviors


def test_every_behavior_that_is_feedback_is_in_exactly_one_group() -> None:
    table = behaviors.load_behaviors()
    expected = [table.encoder[row.behavior] for row in table.rows if row.polarity not in (REVERSAL, CONTROL)]
    assert sorted(code for group in list_behavior_groups(50) for code in group.codes) == sorted(expected)


def test_members_are_the_newest_events_of_the_group() -> None:
    group = BehaviorGroup("some", (3, 5), length=2, is_negative=False, sequence="plays")
    codes = torch.tensor([[3, 4, 5, 3, 0], [4, 3, 0, 0, 0], [4, 4, 4, 0, 0]])
    index_BN, mask_BN = select_group_events(EventInputs(codes, codes, codes, codes, codes, codes), group)
    assert [sorted(index[mask].tolist()) for index, mask in zip(index_BN, mask_BN, strict=True)] == [[2, 3], [1], []]
