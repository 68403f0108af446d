"""Behavior groups: each behavior for or against a track is a sequence of its events.

Each implicit behavior (full play, skip, unclicked impression, ...) is a group. Explicit behaviors are rare, so those of
one polarity share a group. The groups are derived from the table of behaviors. Shape letters: B requests, L events, N
events of a group, D width. Does not depend on models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sequences import behaviours
from training.ranking.inputs import EventInputs

PLAY_BEHAVIOURS, UNCLICKED_IMPRESSION = ("full_play", "play", "skip"), "impression_without_click"
FULL_PLAY, EXPLICIT_POSITIVE, EXPLICIT_NEGATIVE = "full_play", "explicit_positive", "explicit_negative"
MAX_EXPLICIT_EVENTS = 20


@dataclass(frozen=True)
class BehaviorGroup:
    """The newest `length` events of some behaviors, taken from the input sequence `sequence`."""

    name: str
    codes: tuple[int, ...]
    length: int
    is_negative: bool
    sequence: Literal["plays", "explicit_feedback", "unclicked_impressions"]


def list_behaviour_groups(length: int) -> tuple[BehaviorGroup, ...]:
    """Return all groups, positive ones first; explicit groups have at most MAX_EXPLICIT_EVENTS events."""
    table = behaviours.load_behaviours()
    members_by_group: dict[tuple[str, bool], list[str]] = {}
    for row in table.rows:
        key = (row.behaviour if not row.is_explicit else row.polarity, row.is_explicit)
        members_by_group.setdefault(key, []).append(row.behaviour)
    groups = []
    for (name, is_explicit), members in members_by_group.items():
        sequence: Literal["plays", "explicit_feedback", "unclicked_impressions"] = (
            "unclicked_impressions" if members == [UNCLICKED_IMPRESSION] else "explicit_feedback"
        )
        sequence = "plays" if members[0] in PLAY_BEHAVIOURS else sequence
        groups.append(
            BehaviorGroup(
                name=f"explicit_{name}" if is_explicit else name,
                codes=tuple(table.encoder[member] for member in members),
                length=min(length, MAX_EXPLICIT_EVENTS) if sequence == "explicit_feedback" else length,
                is_negative=members[0] in table.with_polarity("negative"),
                sequence=sequence,
            )
        )
    return tuple(sorted(groups, key=lambda group: group.is_negative))


def select_group_events(events: EventInputs, group: BehaviorGroup) -> tuple[Tensor, Tensor]:
    """Return the positions of a group's newest events, newest first [B, N], and which of them hold an event [B, N].

    N is the number of events of the fullest row, at most `group.length`, to avoid padding for absent events.
    """
    is_member_BL = torch.isin(events.behaviour_BL, torch.tensor(group.codes, device=events.behaviour_BL.device))
    N = min(group.length, int(is_member_BL.sum(1).max())) if is_member_BL.numel() else 0
    position_L = torch.arange(1, is_member_BL.shape[1] + 1, device=is_member_BL.device)
    newest_BN, index_BN = (is_member_BL * position_L).topk(N, dim=1)
    return index_BN, newest_BN > 0
