"""Behaviours by domain: every behaviour that says something for or against a track is a sequence of its own.

The implicit ones (what was played to the end, what was skipped, what was shown and left alone) are a domain each; explicit
ones are rare, so those of one polarity share a domain. All from the one list of behaviours. Shape letters: B requests,
L events, N events of a domain, D width. Knows nothing about models.
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


@dataclass(frozen=True)
class BehaviorGroup:
    """The newest `length` events of some behaviours; `sequence`: the request's sequence in which they lie."""

    name: str
    codes: tuple[int, ...]
    length: int
    is_negative: bool
    sequence: Literal["plays", "explicit_feedback", "unclicked_impressions"]


def list_behaviour_groups(length: int) -> tuple[BehaviorGroup, ...]:
    """All domains, positive ones first; `length` events of what is played or left alone, at most 20 of what is said."""
    table = behaviours.load_behaviours()
    shared: dict[tuple[str, bool], list[str]] = {}
    for row in table.rows:
        shared.setdefault((row.behaviour if not row.is_explicit else row.polarity, row.is_explicit), []).append(
            row.behaviour
        )
    found = []
    for (name, is_explicit), members in shared.items():
        sequence: Literal["plays", "explicit_feedback", "unclicked_impressions"] = (
            "unclicked_impressions" if members == [UNCLICKED_IMPRESSION] else "explicit_feedback"
        )
        sequence = "plays" if members[0] in PLAY_BEHAVIOURS else sequence
        found.append(
            BehaviorGroup(
                name=f"explicit_{name}" if is_explicit else name,
                codes=tuple(table.encoder[member] for member in members),
                length=min(length, 20) if sequence == "explicit_feedback" else length,
                is_negative=members[0] in table.with_polarity("negative"),
                sequence=sequence,
            )
        )
    return tuple(sorted(found, key=lambda domain: domain.is_negative))


def select_group_events(events: EventInputs, domain: BehaviorGroup) -> tuple[Tensor, Tensor]:
    """Where a domain's newest events are, oldest last [B, N], and which of these places hold one [B, N].

    N is what the fullest row needs, so that nobody pays for events that no request of the batch has.
    """
    is_of_BL = torch.isin(events.behaviour_BL, torch.tensor(domain.codes, device=events.behaviour_BL.device))
    N = min(domain.length, int(is_of_BL.sum(1).max())) if is_of_BL.numel() else 0
    place_L = torch.arange(1, is_of_BL.shape[1] + 1, device=is_of_BL.device)
    newest_BN, index_BN = (is_of_BL * place_L).topk(N, dim=1)
    return index_BN, newest_BN > 0
