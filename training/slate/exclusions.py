"""What a user has blocked or disliked, from their events: the newest of an action and its reversal counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

EXCLUSIONS_VIEW = "exclusions"
EXCLUDING = ("dislike", "block")
REVERSED_BY = {"undislike": "dislike", "unblock": "block"}
"""Behavior that takes an exclusion back → that exclusion."""

Marks = dict[tuple[str, str, str], tuple[int, bool]]
"""(dislike or block, target type, target id) → (time of its newest event in µs UTC, whether it is in force)."""


@dataclass(frozen=True)
class Exclusions:
    """Ids that a user has blocked or disliked, as the events name them."""

    track_ids: frozenset[str] = field(default_factory=frozenset)
    artist_ids: frozenset[str] = field(default_factory=frozenset)
    collections: frozenset[tuple[str, str]] = field(default_factory=frozenset)  # (type, id) of playlists and mlogs

    def __bool__(self) -> bool:
        """Whether anything is excluded."""
        return bool(self.track_ids or self.artist_ids or self.collections)

    @classmethod
    def of(cls, sequences: Mapping[str, Mapping[str, Sequence[Any]]]) -> Exclusions:
        """From the sequence view `exclusions` of a user's online sequences; empty if the view is missing."""
        return cls.of_marks(marks_of_view(sequences.get(EXCLUSIONS_VIEW) or {}))

    @classmethod
    def of_marks(cls, marks: Marks) -> Exclusions:
        """The targets with a mark in force."""
        return cls.of_targets([(kind, target) for (_, kind, target), (_, is_active) in marks.items() if is_active])

    @classmethod
    def of_targets(cls, pairs: Sequence[tuple[str, str]]) -> Exclusions:
        """From the (target type, target id) of each exclusion in force."""
        return cls(
            track_ids=frozenset(target for kind, target in pairs if kind == "track"),
            artist_ids=frozenset(target for kind, target in pairs if kind == "artist"),
            collections=frozenset(pair for pair in pairs if pair[0] in ("playlist", "mlog")),
        )


def is_exclusion(behaviour: str) -> bool:
    """Whether the behavior excludes a target, or takes an exclusion back."""
    return behaviour in EXCLUDING or behaviour in REVERSED_BY


def marks_of(events: Iterable[tuple[str, str, str, int]]) -> Marks:
    """The marks after (behaviour, target type, target id, time in µs) events, oldest first."""
    marks: Marks = {}
    for behaviour, kind, target, at_us in events:
        marks[REVERSED_BY.get(behaviour, behaviour), kind, target] = at_us, behaviour not in REVERSED_BY
    return marks


def marks_of_view(rows: Mapping[str, Sequence[Any]]) -> Marks:
    """The marks of a user's rows of the view `exclusions`, oldest first."""
    names = ("behaviour", "target_type", "target_id", "ended_at")
    return marks_of(zip(*(rows.get(name, ()) for name in names), strict=True))


def merge_marks(known: Marks, more: Marks) -> Marks:
    """The newest mark of both for each target; of equally old ones that of `more`."""
    newer = {key: mark for key, mark in more.items() if key not in known or mark[0] >= known[key][0]}
    return known | newer
