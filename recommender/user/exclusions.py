"""What a user has blocked, disliked or left out of the taste profile, from their events: the newest of an action and its
reversal counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from event_store.behaviors import NAME_SEPARATOR
from sequences.reversals import reversed_behaviors

EXCLUSIONS_VIEW = "exclusions"
HIDING = ("dislike", "block")
"""Behaviors after which a target is not recommended."""
EXCLUDES_FROM_PROFILE = ("exclude", "reset")
"""Behaviors after which events on the tracks of a target do not count for the taste profile."""

Target = tuple[str, str]
"""(target type, target id)."""
Marks = dict[tuple[str, str, str], tuple[int, bool]]
"""(behavior, target type, target id) → (time of its newest event or reversal in µs UTC, whether it is in force)."""


@dataclass(frozen=True)
class Exclusions:
    """Ids that a user has blocked or disliked, and targets left out of the taste profile, as the events name them."""

    track_ids: frozenset[str] = field(default_factory=frozenset)
    artist_ids: frozenset[str] = field(default_factory=frozenset)
    collections: frozenset[Target] = field(default_factory=frozenset)  # (type, id) of playlists and mlogs
    profile: Mapping[Target, int | None] = field(
        default_factory=dict
    )  # left out of the profile: None for all plays, else those until this time, µs UTC

    @classmethod
    def of_marks(cls, marks: Marks) -> Exclusions:
        """The targets with a mark in force."""
        hidden = [
            (kind, target) for (name, kind, target), (_, is_active) in marks.items() if is_active and name in HIDING
        ]
        return cls(
            track_ids=frozenset(target for kind, target in hidden if kind == "track"),
            artist_ids=frozenset(target for kind, target in hidden if kind == "artist"),
            collections=frozenset(pair for pair in hidden if pair[0] in ("playlist", "mlog")),
            profile=_profile(marks),
        )


def marks_of(events: Iterable[tuple[str, str, str, int]]) -> Marks:
    """The marks after (behavior, target type, target id, time in µs) events, oldest first; others are ignored."""
    reversed_by = reversed_behaviors()
    reversible = frozenset(reversed_by.values())
    marks: Marks = {}
    for behavior, kind, target, at_us in events:
        if behavior in reversible or behavior in reversed_by:
            marks[reversed_by.get(behavior, behavior), kind, target] = at_us, behavior in reversible
    return marks


def marks_of_view(rows: Mapping[str, Sequence[Any]]) -> Marks:
    """The marks of a user's rows of the views `exclusions` or `library`, oldest first."""
    return marks_of(_events_of_view(rows))


def names_of_view(rows: Mapping[str, Sequence[Any]]) -> dict[str, str]:
    """Interest → the name that the user gave it last, from the rows of the view `exclusions`, oldest first."""
    renames = (target.partition(NAME_SEPARATOR) for name, _, target, _ in _events_of_view(rows) if name == "rename")
    names = {interest: name.strip() for interest, _, name in renames}
    return {interest: name for interest, name in names.items() if name}


def merge_marks(known: Marks, more: Marks) -> Marks:
    """The newest mark of both for each target; of equally old ones the one in `more`."""
    newer = {key: mark for key, mark in more.items() if key not in known or mark[0] >= known[key][0]}
    return known | newer


def canonical_marks(marks: Marks, canonical_id: Callable[[str], str]) -> Marks:
    """The marks by the canonical ids of tracks: of several ids of a track, the newest mark counts."""
    oldest_first = sorted(marks.items(), key=lambda item: item[1][0])
    return {
        (name, kind, canonical_id(target) if kind == "track" else target): mark
        for (name, kind, target), mark in oldest_first
    }


def _profile(marks: Marks) -> dict[Target, int | None]:
    profile: dict[Target, int | None] = {}
    for (name, kind, target), (at_us, is_active) in marks.items():
        if is_active and name == "exclude":
            profile[kind, target] = None
        elif is_active and name == "reset":
            profile.setdefault((kind, target), at_us)
    return profile


def _events_of_view(rows: Mapping[str, Sequence[Any]]) -> Iterable[tuple[str, str, str, int]]:
    names = ("behavior", "target_type", "target_id", "ended_at")
    return zip(*(rows.get(name, ()) for name in names), strict=True)
