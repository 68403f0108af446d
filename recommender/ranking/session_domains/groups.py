"""Config of the session-domains ranker, and its sequences: one per behavior group.

Shape letter: N events of a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from config.dataclass_io import Section
from event_store.behaviors import CONTROL, REVERSAL
from recommender.ranking.inputs import BEHAVIOR_CODES
from recommender.ranking.ranker_config import RankerConfig
from sequences import behaviors

ATTENTION_HEADS = 2
UNCLICKED_IMPRESSION = "impression_without_click"
PLAY_BEHAVIORS = ("full_play", "play", "skip")
FULL_PLAY, EXPLICIT_POSITIVE, EXPLICIT_NEGATIVE = "full_play", "explicit_positive", "explicit_negative"
MAX_EXPLICIT_EVENTS = 20
DENOISING_GROUPS = ((FULL_PLAY, EXPLICIT_POSITIVE), (EXPLICIT_NEGATIVE,))
"""Groups whose interests, added to the candidate, query the unclicked impressions."""


@dataclass(frozen=True)
class BehaviorGroupConfig(Section):
    """Sequences by behavior."""

    length: int
    sessions: int


@dataclass(frozen=True)
class SessionDomainsConfig(RankerConfig):
    """Configuration of `session_domains`."""

    groups: BehaviorGroupConfig


@dataclass(frozen=True)
class BehaviorGroup:
    """A sequence of one or more behaviors: their newest `length` events, taken from the input sequence `sequence`."""

    name: str
    codes: tuple[int, ...]
    length: int
    is_negative: bool
    sequence: Literal["plays", "explicit_feedback", "unclicked_impressions"]

    @cached_property
    def has_code(self) -> NDArray[np.bool_]:
        """Whether the group has each behavior code."""
        return np.isin(np.arange(BEHAVIOR_CODES), self.codes)


def groups_of(config: SessionDomainsConfig) -> tuple[tuple[BehaviorGroup, ...], tuple[tuple[int, ...], ...]]:
    """Return the groups of a ranker, and the numbers of those in each of DENOISING_GROUPS; none without impressions."""
    groups = tuple(
        group
        for group in list_behavior_groups(config.groups.length)
        if config.features.impressions or group.sequence != "unclicked_impressions"
    )
    names = [group.name for group in groups]
    is_denoised = UNCLICKED_IMPRESSION in names
    return groups, tuple(tuple(map(names.index, feedback)) for feedback in DENOISING_GROUPS if is_denoised)


def list_behavior_groups(length: int) -> tuple[BehaviorGroup, ...]:
    """Return the groups of all behaviors, positive ones first; explicit ones have at most MAX_EXPLICIT_EVENTS events.

    Reversals have no group: they are removed with the events that they take back (`sequences.sequence_batch`). Neither have
    controls of the taste profile, which are no feedback.
    """
    table = behaviors.load_behaviors()
    members_by_group: dict[tuple[str, bool], list[str]] = {}
    for row in table.rows:
        if row.polarity in (REVERSAL, CONTROL):
            continue
        key = (row.behavior if not row.is_explicit else row.polarity, row.is_explicit)
        members_by_group.setdefault(key, []).append(row.behavior)
    groups = []
    for (name, is_explicit), members in members_by_group.items():
        sequence: Literal["plays", "explicit_feedback", "unclicked_impressions"] = (
            "unclicked_impressions" if members == [UNCLICKED_IMPRESSION] else "explicit_feedback"
        )
        sequence = "plays" if members[0] in PLAY_BEHAVIORS else sequence
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
