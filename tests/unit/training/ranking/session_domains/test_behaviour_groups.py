"""Which behaviours make a domain, and which events of a sequence belong to one."""

from __future__ import annotations

import torch

from sequences import behaviours
from training.ranking.inputs import EventInputs
from training.ranking.session_domains.behaviour_groups import BehaviorGroup, list_behaviour_groups, select_group_events


def events(behaviour_BL: list[list[int]]) -> EventInputs:
    """Only the behaviours matter here."""
    codes = torch.tensor(behaviour_BL)
    return EventInputs(codes, codes, codes, codes, codes, codes)


def test_every_behaviour_is_in_exactly_one_domain() -> None:
    table = behaviours.load_behaviours()
    found = [code for domain in list_behaviour_groups(50) for code in domain.codes]
    expected = [table.encoder[row.behaviour] for row in table.rows]
    assert sorted(found) == sorted(expected)


def test_polarity_and_explicitness_come_from_the_list_of_behaviours() -> None:
    table = behaviours.load_behaviours()
    by_name = {domain.name: domain for domain in list_behaviour_groups(50)}
    negative = {"skip", "explicit_negative", "impression_without_click"}
    assert set(by_name) == {"full_play", "play", "click", "explicit_positive"} | negative
    assert by_name["explicit_positive"].codes == tuple(
        table.encoder[name] for name in ("like", "collect", "share", "download")
    )
    assert by_name["explicit_negative"].codes == (table.encoder["dislike"], table.encoder["block"])
    assert {name for name, domain in by_name.items() if domain.is_negative} == negative
    assert {name for name, domain in by_name.items() if domain.sequence == "plays"} == {"full_play", "play", "skip"}
    assert [name for name, domain in by_name.items() if domain.sequence == "unclicked_impressions"] == [
        "impression_without_click"
    ]


def test_members_are_the_newest_events_of_the_domain() -> None:
    domain = BehaviorGroup("some", (3, 5), length=2, is_negative=False, sequence="plays")
    index_BN, mask_BN = select_group_events(events([[3, 4, 5, 3, 0], [4, 3, 0, 0, 0], [4, 4, 4, 0, 0]]), domain)
    chosen = [sorted(index[mask].tolist()) for index, mask in zip(index_BN, mask_BN, strict=True)]
    assert chosen == [[2, 3], [1], []]


def test_a_domain_that_nobody_has_costs_nothing() -> None:
    domain = BehaviorGroup("some", (9,), length=20, is_negative=False, sequence="plays")
    index_BN, mask_BN = select_group_events(events([[3, 4], [4, 0]]), domain)
    assert index_BN.shape == mask_BN.shape == (2, 0)
